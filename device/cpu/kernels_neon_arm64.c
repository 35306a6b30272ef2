/* NEON of the first arm64: multiply-accumulate of int16. */
#include "kernels.h"
#define SET neon
#define FAST_UNIT 2
#include "kernels_neon_arm64.h"
#include "kernels_body.h"
