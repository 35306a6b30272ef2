/* NEON with the dot product of bytes (Armv8.2; nearly every server and phone since 2018). */
#include "kernels.h"
#include <arm_neon.h> /* outside the target region: its functions have targets of their own */
#define SET neondot
#define EXACT_UNIT 4
#define GSK_CODES "kernels_codes_dot_arm64.h"
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("arch=armv8.2-a+dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include "kernels_neon_arm64.h"
#include "kernels_body.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
