/* AVX-512 without VNNI: vpmaddwd and an addition. */
#include "kernels.h"
#define SET avx512
GSK_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#include "kernels_avx512_amd64.h"
/* assembly: gcc would multiply all rows first and spill */
GSK_OP VI dot(VI acc, VI a, VW w) {
  VI products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(acc), "=&v"(products) : "v"(a), "v"(w));
  return acc;
}
/* bytes as their even and odd halves, widened: vpmaddubsw would saturate */
typedef struct {
  __m512i even, odd;
} VB, VQ;
GSK_OP VQ quad(const void *p) {
  __m512i b = pair(p);
  return (VQ){_mm512_and_si512(b, _mm512_set1_epi16(255)), _mm512_srli_epi16(b, 8)};
}
GSK_OP VB widen(__m512i b) {
  return (VB){_mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8), _mm512_srai_epi16(b, 8)};
}
GSK_OP VB loadBytes(const uint8_t *p) { return widen(loadRaw(p)); }
GSK_OP void loadNibbleBytes(const uint8_t *p, const int8_t *t, VB *lo, VB *hi) {
  __m512i l, h;
  loadRawNibbles(p, t, &l, &h);
  *lo = widen(l), *hi = widen(h);
}
GSK_OP VI dotBytes(VI acc, VQ q, VB w) { return dot(dot(acc, q.even, w.even), q.odd, w.odd); }
#include "kernels_body.h"
GSK_TARGET_END
