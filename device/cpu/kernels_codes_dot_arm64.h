/* Tiles of codes forms by sdot, which multiplies signed bytes: four k of a column at a time; see kernels_linear.h.
 *
 *   exact: Σ a·w = 256·Σ high·w + Σ low·w, where a = 256·high + low with both signed
 *   fast:  Σ (a − zero)·w = Σ (a − 128)·w + (128 − zero)·Σ w
 *
 * so the int32 sums are every other set's. */
enum { HIGH_BYTES, LOW_BYTES, FAST_BYTES };

/* 16 k of a row's activations as signed bytes. High bytes were prepared for unsigned low ones. */
GSK_INLINE int8x16_t signedBytes(const int PART, const int8_t *a) {
  if (PART == FAST_BYTES) return veorq_s8(vld1q_s8(a), vdupq_n_s8(-128));
  int8x16_t low = vld1q_s8(a + GSK_BLOCK);
  return PART == LOW_BYTES ? low : vsubq_s8(vld1q_s8(a), vshrq_n_s8(low, 7));
}

/* Unit LANE of the 16 k in x: codes v[j] of each vector of columns. */
#define DOT_UNIT(LANE, V)                                                                \
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) \
      sum[i][j] = vdotq_laneq_s32(sum[i][j], V[j], x[i], LANE);
#define DOT_BYTES(LANE)                                                                           \
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) v[j] = vld1q_s8((const int8_t *)codes + 16 * j); \
  DOT_UNIT(LANE, v)                                                                               \
  codes += 4 * GSK_PANEL;
#define DOT_NIBBLES(LANE)                                    \
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {           \
    uint8x16_t b = vld1q_u8(codes + 16 * j);                 \
    v[j] = vqtbl1q_s8(numbers, vandq_u8(b, vdupq_n_u8(15))); \
    w[j] = vqtbl1q_s8(numbers, vshrq_n_u8(b, 4));            \
  }                                                          \
  DOT_UNIT(LANE, v)                                          \
  DOT_UNIT(LANE + 1, w)                                      \
  codes += 4 * GSK_PANEL;

/* Adds the products of MR rows and a sub-block's codes. */
GSK_INLINE void addBytes(const int MR, const int BITS, const int SUB, const int PART,
                         const int8_t *a, int64_t stride, const uint8_t *codes, const int8_t *table,
                         int32x4_t sum[][TILE_VECS]) {
  const int8x16_t numbers = vld1q_s8(table);
  for (int k = 0; k < SUB; k += 16) {
    int8x16_t x[CODES_ROWS], v[TILE_VECS], w[TILE_VECS];
    GSK_UNROLL for (int i = 0; i < MR; i++) x[i] = signedBytes(PART, a + i * stride + k);
    if (BITS == 8) {
      DOT_BYTES(0) DOT_BYTES(1) DOT_BYTES(2) DOT_BYTES(3)
    } else {
      DOT_NIBBLES(0) DOT_NIBBLES(2)
    }
  }
}

/* Sums of fast begin with (128 − zero)·Σ w. */
GSK_INLINE void startFast(const int MR, const int32_t *zeros, int64_t zero_stride,
                          const int16_t *columns, int32x4_t sum[][TILE_VECS]) {
  GSK_UNROLL for (int i = 0; i < MR; i++) {
    int32_t minusZero = (int16_t)zeros[i * zero_stride];
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
        sum[i][j] = vmulq_n_s32(vmovl_s16(vld1_s16(columns + j * LANES)), 128 + minusZero);
  }
}

#define BYTES_STEP 1
#define toRows(MR, sum)
#include "kernels_codes_bytes_arm64.h"
