/* AVX2 with FMA and F16C: 256 bits, vpmaddwd and an addition for the int16 dot product. */
#include "kernels.h"
#define SET avx2
#define NEEDS "avx2,fma,f16c"
/* gsk_count's products are of bytes: their shares may be more than the whole */
#define PEAKS "f32 256", "madd 256", "madd 256", "madd 256"
#define FAST_UNIT 2 /* vpmaddubsw would saturate */
#define NIBBLES 1   /* but not with codes of 4 bits */
GSK_TARGET_BEGIN(NEEDS)
#include "kernels_avx2_amd64.h"
/* assembly: gcc would multiply all rows first and spill */
GSK_OP VI dot(VI acc, VI a, VW w) {
  VI products;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(acc), "=&x"(products) : "x"(a), "x"(w));
  return acc;
}
typedef __m256i VB, VQ;
GSK_OP VQ quad(const void *p) { return pair(p); }
GSK_OP void loadCounts(const uint8_t *p, VB *lo, VB *hi) {
  __m256i b = loadRaw(p), low = _mm256_set1_epi8(15);
  *lo = _mm256_and_si256(b, low);
  *hi = _mm256_and_si256(_mm256_srli_epi16(b, 4), low);
}
GSK_OP VW dotShort(VW acc, VQ q, VB w) { /* assembly: as dot */
  VW products;
  __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"
          : "+x"(acc), "=&x"(products)
          : "x"(w), "x"(q));
  return acc;
}
GSK_OP VI addPairs(VW a) { return _mm256_madd_epi16(a, _mm256_set1_epi16(1)); }
GSK_OP VW loadSumsAnd(const int16_t *p, int n) {
  return _mm256_blend_epi16(loadSums(p), _mm256_set1_epi32((int32_t)((uint32_t)n << 16)), 0xaa);
}
GSK_OP void signBytes(uint8_t *p, int32_t *sums) {
  __m256i bytes = loadRaw(p), eights = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
  __m256i both = _mm256_add_epi64(eights, _mm256_unpackhi_epi64(eights, eights));
  sums[0] = _mm256_extract_epi32(both, 0), sums[1] = _mm256_extract_epi32(both, 4);
  _mm256_storeu_si256((__m256i *)p, _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)));
}
#include "kernels_body.h"
GSK_TARGET_END
