/* AVX-512 VNNI: vpdpwssd. */
#include "kernels.h"
#define SET avx512vnni
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#include "kernels_avx512_amd64.h"
/* one-line assembly: gcc hoists all broadcasts of the intrinsic and spills, clang turns it into two instructions */
GSK_OP VI dot(VI acc, VI a, VW w) { __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w)); return acc; }
typedef __m512i VB, VQ;
GSK_OP VQ quad(const void *p) { return pair(p); }
GSK_OP VB loadBytes(const uint8_t *p) { return loadRaw(p); }
GSK_OP void loadNibbleBytes(const uint8_t *p, const int8_t *t, VB *lo, VB *hi) { loadRawNibbles(p, t, lo, hi); }
GSK_OP VI dotBytes(VI acc, VQ q, VB w) { __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(q), "v"(w)); return acc; }
#include "kernels_body.h"
#pragma GCC pop_options
