/* AVX-512 without VNNI: vpmaddwd and an addition. */
#include "kernels.h"
#define SET avx512
#define NEEDS "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"
#define PEAKS "f32 512", "madd 512", "madd 512", "madd 512"
#define FAST_UNIT 2 /* vpmaddubsw would saturate */
GSK_TARGET_BEGIN(NEEDS)
#include "kernels_avx512_amd64.h"
/* assembly: gcc would multiply all rows first and spill */
GSK_OP VI dot(VI acc, VI a, VW w) {
  VI products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(acc), "=&v"(products) : "v"(a), "v"(w));
  return acc;
}
#include "kernels_body.h"
GSK_TARGET_END
