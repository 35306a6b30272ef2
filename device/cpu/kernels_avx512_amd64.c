/* AVX-512 without VNNI: vpmaddwd and an addition. */
#include "kernels.h"
#define SET avx512
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#include "kernels_avx512_amd64.h"
GSK_OP VI dot(VI acc, VI a, VW w) { return _mm512_add_epi32(acc, _mm512_madd_epi16(a, w)); }
#include "kernels_body.h"
#pragma GCC pop_options
