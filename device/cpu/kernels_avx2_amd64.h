/* The 256-bit operations that AVX2 and AVX-VNNI share; dot is the including file's. */
#include <immintrin.h>
#include <string.h>

#define LANES 8
#define TILE_ROWS 3
#define TILE_VECS 2
typedef __m256 V;
typedef __m256i VI, VW;
#define GSK_OP static inline __attribute__((always_inline))
GSK_OP V set1(float a) { return _mm256_set1_ps(a); }
GSK_OP V load(const float *p) { return _mm256_loadu_ps(p); }
GSK_OP void store(float *p, V a) { _mm256_storeu_ps(p, a); }
GSK_OP V add(V a, V b) { return _mm256_add_ps(a, b); }
GSK_OP V sub(V a, V b) { return _mm256_sub_ps(a, b); }
GSK_OP V mul(V a, V b) { return _mm256_mul_ps(a, b); }
GSK_OP V divV(V a, V b) { return _mm256_div_ps(a, b); }
GSK_OP V fmaV(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
GSK_OP V maxV(V a, V b) { return _mm256_max_ps(a, b); }
GSK_OP V minV(V a, V b) { return _mm256_min_ps(a, b); }
GSK_OP V roundV(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
GSK_OP V selectV(V m, V a, V b) { return _mm256_blendv_ps(b, a, _mm256_cmp_ps(m, _mm256_setzero_ps(), _CMP_LT_OQ)); }
GSK_OP V pow2(V n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23)); }
GSK_OP V loadHalf(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
GSK_OP V loadBFloat(const uint16_t *p) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16)); }
GSK_OP VI zeroI(void) { return _mm256_setzero_si256(); }
GSK_OP V toFloat(VI a) { return _mm256_cvtepi32_ps(a); }
GSK_OP VI pair(const void *p) { int32_t v; memcpy(&v, p, 4); return _mm256_set1_epi32(v); }
GSK_OP VW loadCodes(const uint8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
GSK_OP void loadNibbles(const uint8_t *p, const int8_t *t, VW *lo, VW *hi) {
  __m128i b = _mm_loadu_si128((const __m128i *)p), table = _mm_loadu_si128((const __m128i *)t), low = _mm_set1_epi8(15);
  *lo = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(table, _mm_and_si128(b, low)));
  *hi = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(b, 4), low)));
}
