/* The 512-bit operations that the AVX-512 sets share; the dot products are the including file's. */
#include <string.h>

#define LANES 16
#define TILE_ROWS 6
#define TILE_VECS 2
#define CODES_ROWS 8 /* 12 are 3 % faster; their code takes 0.2 MB of each binary */
#define ATTEND_ROWS 8
#define ATTEND_VECS 2
#define STEP_VECS 6
typedef __m512 V;
typedef __m512i VI, VW;
#define IN_TURN(x) __asm__ volatile("" : "+v"(x))
GSK_OP V set1(float a) { return _mm512_set1_ps(a); }
GSK_OP V load(const float *p) { return _mm512_loadu_ps(p); }
GSK_OP void store(float *p, V a) { _mm512_storeu_ps(p, a); }
GSK_OP V add(V a, V b) { return _mm512_add_ps(a, b); }
GSK_OP V sub(V a, V b) { return _mm512_sub_ps(a, b); }
GSK_OP V mul(V a, V b) { return _mm512_mul_ps(a, b); }
GSK_OP V sqrtV(V a) { return _mm512_sqrt_ps(a); }
GSK_OP V divV(V a, V b) { return _mm512_div_ps(a, b); }
GSK_OP V fmaV(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
GSK_OP V maxV(V a, V b) { return _mm512_max_ps(a, b); }
GSK_OP V minV(V a, V b) { return _mm512_min_ps(a, b); }
GSK_OP V roundV(V a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
GSK_OP V selectV(V m, V a, V b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(m, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}
GSK_OP V scale2(V a, V t) {
  return _mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
GSK_OP float sumLanes(V a) {
  __m256 q = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 h = _mm_add_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
  h = _mm_add_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
GSK_OP float maxLanes(V a) {
  __m256 q = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}
/* pairs of rows, then pairs of pairs, then the quarters of 128 bits in two steps */
GSK_OP void transpose(V *r) {
  V t[16];
  for (int i = 0; i < 16; i += 2)
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]), t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      r[i + 2 * j] = _mm512_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
      r[i + 2 * j + 1] = _mm512_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
    }
  for (int i = 0; i < 4; i++) {
    V a = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88),
      b = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    V c = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88),
      d = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    r[i] = _mm512_shuffle_f32x4(a, c, 0x88), r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88), r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}
/* halves of two rows side by side, then quarters of four, then pairs of lanes, then lanes */
GSK_OP V foldRows(V fold(V, V), const V *r) {
  V q[4], p[2];
  for (int i = 0; i < 4; i++) {
    V a = fold(_mm512_shuffle_f32x4(r[i], r[i + 4], 0x44),
               _mm512_shuffle_f32x4(r[i], r[i + 4], 0xee));
    V b = fold(_mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x44),
               _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xee));
    q[i] = fold(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  }
  for (int i = 0; i < 2; i++)
    p[i] = fold(_mm512_shuffle_ps(q[2 * i], q[2 * i + 1], 0x44),
                _mm512_shuffle_ps(q[2 * i], q[2 * i + 1], 0xee));
  return fold(_mm512_shuffle_ps(p[0], p[1], 0x88), _mm512_shuffle_ps(p[0], p[1], 0xdd));
}
GSK_OP V maxRows(const V *r) { return foldRows(maxV, r); }
/* packing puts the lanes of 128 bits of two vectors side by side */
GSK_OP __m512i shortsAbove(const float *x, V q, float below) {
  __m512i codes = _mm512_packs_epi32(_mm512_cvtps_epi32(mul(load(x), q)),
                                     _mm512_cvtps_epi32(mul(load(x + LANES), q)));
  return _mm512_sub_epi16(codes, _mm512_set1_epi16((int16_t)below));
}
GSK_OP void storeAbove(uint8_t *p, const float *x, V q, const int n, float below) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i first = shortsAbove(x, q, below),
          second = n == 64 ? shortsAbove(x + 32, q, below) : first;
  __m512i codes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second));
  if (n == 64) _mm512_storeu_si512(p, codes);
  else _mm256_storeu_si256((__m256i *)p, _mm512_castsi512_si256(codes));
}
GSK_OP void storeShorts(int16_t *p, const V *v) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(*v)));
}
GSK_OP void storePairs(void *p, V a, V b) {
  __m512i high = _mm512_slli_epi32(_mm512_cvtps_epi32(b), 16);
  _mm512_storeu_si512(p, _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_cvtps_epi32(a), high));
}
GSK_OP void storeBytes(uint8_t *p, const V *v) {
  _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(*v)));
}
GSK_OP void storeHighBytes(uint8_t *p, const V *v) {
  _mm_storeu_si128((__m128i *)p,
                   _mm512_cvtepi32_epi8(_mm512_srai_epi32(_mm512_cvtps_epi32(*v), 8)));
}
/* 32 numbers times q as codes of 16 bits: their high bytes, those of the greatest multiples of 256 up to code + nearest,
 * and behind them what is left, as bytes. Packing puts the lanes of 128 bits side by side. The result is the codes, in some
 * order. */
GSK_OP __m512i storeSplit(uint8_t *p, const float *x, V q, V most, int nearest) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i codes = _mm512_packs_epi32(_mm512_cvtps_epi32(minV(mul(load(x), q), most)),
                                     _mm512_cvtps_epi32(minV(mul(load(x + LANES), q), most)));
  __m512i high = _mm512_srai_epi16(_mm512_add_epi16(codes, _mm512_set1_epi16((int16_t)nearest)), 8);
  __m512i low = _mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 8);
  _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(high, low)));
  return codes;
}
GSK_OP V loadHalf(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
GSK_OP V loadBFloat(const uint16_t *p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
GSK_OP VI zeroI(void) { return _mm512_setzero_si512(); }
GSK_OP V toFloat(VI a) { return _mm512_cvtepi32_ps(a); }
GSK_OP VI pair(const void *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}
GSK_OP VW loadCodes(const uint8_t *p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
}
GSK_OP VW loadSums(const int16_t *p) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p));
}
GSK_OP void loadNibbles(const uint8_t *p, const int8_t *t, VW *lo, VW *hi) {
  __m256i b = _mm256_loadu_si256((const __m256i *)p), low = _mm256_set1_epi8(15);
  __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)t));
  *lo = _mm512_cvtepi8_epi16(_mm256_shuffle_epi8(table, _mm256_and_si256(b, low)));
  *hi = _mm512_cvtepi8_epi16(
      _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(b, 4), low)));
}
GSK_OP __m512i loadRaw(const uint8_t *p) { return _mm512_loadu_si512(p); }
GSK_OP void loadRawNibbles(const uint8_t *p, const int8_t *t, __m512i *lo, __m512i *hi) {
  __m512i b = loadRaw(p), table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)t)),
          low = _mm512_set1_epi8(15);
  *lo = _mm512_shuffle_epi8(table, _mm512_and_si512(b, low));
  *hi = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(b, 4), low));
}
