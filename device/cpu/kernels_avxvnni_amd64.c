/* AVX-VNNI: as AVX2 with the 256-bit vpdpwssd of client processors. */
#include "kernels.h"
#define SET avxvnni
#define NEEDS "avx2,fma,f16c,avxvnni"
#define PEAKS "f32 256", "int16 256", "int8 256", "int16 256"
GSK_TARGET_BEGIN(NEEDS)
#include "kernels_avx2_amd64.h"
/* one-line assembly: gcc hoists all broadcasts of the intrinsic and spills, clang turns it into two instructions */
GSK_OP VI dot(VI acc, VI a, VW w) {
  __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(a), "x"(w));
  return acc;
}
typedef __m256i VB, VQ;
GSK_OP VQ quad(const void *p) { return pair(p); }
GSK_OP VB loadBytes(const uint8_t *p) { return loadRaw(p); }
GSK_OP VI dotBytes(VI acc, VQ q, VB w) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(q), "x"(w));
  return acc;
}
#include "kernels_body.h"
GSK_TARGET_END
