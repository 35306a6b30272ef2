/* NEON with matrix products of bytes (optional from Armv8.2, part of 8.6: servers since Neoverse V1 and N2, Apple since M2). */
#include "kernels.h"
#include <arm_neon.h> /* outside the target region: its functions have targets of their own */
#define SET neoni8mm
#define NEEDS "dotprod,i8mm"
#define EXACT_UNIT 4
#define CODES_ROWS 6
#define GSK_CODES "kernels_codes_i8mm_arm64.h"
GSK_TARGET_BEGIN("arch=armv8.2-a+dotprod+i8mm")
#include "kernels_neon_arm64.h"
#include "kernels_body.h"
GSK_TARGET_END
