/* NEON with the dot product of bytes (Armv8.2; nearly every server and phone since 2018). */
#include "kernels.h"
#include <arm_neon.h> /* outside the target region: its functions have targets of their own */
#define SET neondot
#define NEEDS "dotprod"
#define EXACT_UNIT 4
#define CODES_ROWS 4
#define GSK_CODES "kernels_codes_dot_arm64.h"
GSK_TARGET_BEGIN("arch=armv8.2-a+dotprod")
#include "kernels_neon_arm64.h"
#include "kernels_body.h"
GSK_TARGET_END
