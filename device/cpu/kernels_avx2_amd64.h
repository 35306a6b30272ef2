/* The 256-bit operations that AVX2 and AVX-VNNI share; dot is the including file's. */
#include <string.h>

#define LANES 8
#define TILE_ROWS 3
#define TILE_VECS 2
#define CODES_ROWS 5 /* 10 sums, 4 widened codes, an activation and products in 16 registers */
#define WIDENS 1
#define ATTEND_ROWS 4
#define ATTEND_VECS 2
typedef __m256 V;
typedef __m256i VI, VW;
#define IN_TURN(x) __asm__ volatile("" : "+x"(x))
GSK_OP V set1(float a) { return _mm256_set1_ps(a); }
GSK_OP V load(const float *p) { return _mm256_loadu_ps(p); }
GSK_OP void store(float *p, V a) { _mm256_storeu_ps(p, a); }
GSK_OP V add(V a, V b) { return _mm256_add_ps(a, b); }
GSK_OP V sub(V a, V b) { return _mm256_sub_ps(a, b); }
GSK_OP V mul(V a, V b) { return _mm256_mul_ps(a, b); }
GSK_OP V sqrtV(V a) { return _mm256_sqrt_ps(a); }
GSK_OP V divV(V a, V b) { return _mm256_div_ps(a, b); }
GSK_OP V fmaV(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
GSK_OP V maxV(V a, V b) { return _mm256_max_ps(a, b); }
GSK_OP V minV(V a, V b) { return _mm256_min_ps(a, b); }
GSK_OP V roundV(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
GSK_OP V selectV(V m, V a, V b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(m, _mm256_setzero_ps(), _CMP_LT_OQ));
}
GSK_OP V scale2(V a, V t) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
GSK_OP float sumLanes(V a) {
  __m128 h = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  h = _mm_add_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
GSK_OP float maxLanes(V a) {
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
/* pairs of rows, then pairs of pairs, then the halves of 128 bits */
GSK_OP void transpose(V *r) {
  V t[8];
  for (int i = 0; i < 8; i += 2)
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]), t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
      r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
    }
  for (int i = 0; i < 4; i++) {
    V a = r[i], b = r[i + 4];
    r[i] = _mm256_permute2f128_ps(a, b, 0x20), r[i + 4] = _mm256_permute2f128_ps(a, b, 0x31);
  }
}
/* halves of two rows side by side, then pairs of lanes of four, then lanes */
GSK_OP V maxRows(const V *r) {
  V h[4], p[2];
  for (int i = 0; i < 4; i++)
    h[i] = _mm256_max_ps(_mm256_permute2f128_ps(r[i], r[i + 4], 0x20),
                         _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  for (int i = 0; i < 2; i++)
    p[i] = _mm256_max_ps(_mm256_shuffle_ps(h[2 * i], h[2 * i + 1], 0x44),
                         _mm256_shuffle_ps(h[2 * i], h[2 * i + 1], 0xee));
  return _mm256_max_ps(_mm256_shuffle_ps(p[0], p[1], 0x88), _mm256_shuffle_ps(p[0], p[1], 0xdd));
}
/* packing works within halves of 128 bits: their quarters are put in order afterwards */
GSK_OP void storeShorts(int16_t *p, const V *v) {
  __m256i both = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
  _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(both, 0xd8));
}
GSK_OP void storePairs(void *p, V a, V b) {
  __m256i high = _mm256_slli_epi32(_mm256_cvtps_epi32(b), 16);
  _mm256_storeu_si256((__m256i *)p, _mm256_blend_epi16(_mm256_cvtps_epi32(a), high, 0xaa));
}
/* packing puts the lanes of 128 bits of two vectors side by side */
GSK_OP __m256i shortsAbove(const float *x, V q, float below) {
  __m256i codes = _mm256_packs_epi32(_mm256_cvtps_epi32(mul(load(x), q)),
                                     _mm256_cvtps_epi32(mul(load(x + LANES), q)));
  return _mm256_sub_epi16(codes, _mm256_set1_epi16((int16_t)below));
}
GSK_OP void storeAbove(uint8_t *p, const float *x, V q, const int n, float below) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int i = 0; i < n; i += 32) {
    __m256i codes = _mm256_packus_epi16(shortsAbove(x + i, q, below),
                                        shortsAbove(x + i + 16, q, below));
    _mm256_storeu_si256((__m256i *)(p + i), _mm256_permutevar8x32_epi32(codes, order));
  }
}
GSK_OP V loadHalf(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
GSK_OP V loadBFloat(const uint16_t *p) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
GSK_OP VI zeroI(void) { return _mm256_setzero_si256(); }
GSK_OP V toFloat(VI a) { return _mm256_cvtepi32_ps(a); }
GSK_OP VI pair(const void *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}
GSK_OP VW loadCodes(const uint8_t *p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}
GSK_OP VW loadSums(const int16_t *p) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p));
}
GSK_OP __m256i loadRaw(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
GSK_OP void widenNibbles(const uint8_t *p, const int8_t *t, uint8_t *lo, uint8_t *hi) {
  __m256i b = loadRaw(p), table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)t)),
          low = _mm256_set1_epi8(15);
  _mm256_storeu_si256((__m256i *)lo, _mm256_shuffle_epi8(table, _mm256_and_si256(b, low)));
  _mm256_storeu_si256((__m256i *)hi,
                      _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(b, 4), low)));
}
