/* NEON with the dot product of bytes (Armv8.2; nearly every server and phone since 2018). */
#include "kernels.h"
#define SET neondot
#define EXACT_UNIT 4
#define GSK_CODES "kernels_codes_dot_arm64.h"
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#include "kernels_neon_arm64.h"
#include "kernels_body.h"
#pragma GCC pop_options
