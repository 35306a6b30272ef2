/* AVX2 with FMA and F16C: 256 bits, vpmaddwd and an addition for the int16 dot product. */
#include "kernels.h"
#define SET avx2
GSK_TARGET_BEGIN("avx2,fma,f16c")
#include "kernels_avx2_amd64.h"
/* assembly: gcc would multiply all rows first and spill */
GSK_OP VI dot(VI acc, VI a, VW w) {
  VI products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(acc), "=&x"(products) : "x"(a), "x"(w));
  return acc;
}
/* bytes as their even and odd halves, widened: vpmaddubsw would saturate */
typedef struct {
  __m256i even, odd;
} VB, VQ;
GSK_OP VQ quad(const void *p) {
  __m256i b = pair(p);
  return (VQ){_mm256_and_si256(b, _mm256_set1_epi16(255)), _mm256_srli_epi16(b, 8)};
}
GSK_OP VB widen(__m256i b) {
  return (VB){_mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8), _mm256_srai_epi16(b, 8)};
}
GSK_OP VB loadBytes(const uint8_t *p) { return widen(loadRaw(p)); }
GSK_OP void loadNibbleBytes(const uint8_t *p, const int8_t *t, VB *lo, VB *hi) {
  __m256i l, h;
  loadRawNibbles(p, t, &l, &h);
  *lo = widen(l), *hi = widen(h);
}
GSK_OP VI dotBytes(VI acc, VQ q, VB w) { return dot(dot(acc, q.even, w.even), q.odd, w.odd); }
#include "kernels_body.h"
GSK_TARGET_END
