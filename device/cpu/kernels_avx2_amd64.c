/* AVX2 with FMA and F16C: 256 bits, vpmaddwd and an addition for the int16 dot product. */
#include "kernels.h"
#define SET avx2
#define FAST_UNIT 2 /* vpmaddubsw would saturate */
GSK_TARGET_BEGIN("avx2,fma,f16c")
#include "kernels_avx2_amd64.h"
/* assembly: gcc would multiply all rows first and spill */
GSK_OP VI dot(VI acc, VI a, VW w) {
  VI products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(acc), "=&x"(products) : "x"(a), "x"(w));
  return acc;
}
#include "kernels_body.h"
GSK_TARGET_END
