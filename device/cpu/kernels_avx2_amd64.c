/* AVX2 with FMA and F16C: 256 bits, vpmaddwd and an addition for the int16 dot product. */
#include "kernels.h"
#define SET avx2
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels_avx2_amd64.h"
GSK_OP VI dot(VI acc, VI a, VW w) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, w)); }
#include "kernels_body.h"
#pragma GCC pop_options
