/* Tiles of codes forms by smmla and usmmla, which multiply bytes of 2 rows × 8 k by 8 k × 2 columns into four int32 sums;
 * see kernels_linear.h.
 *
 *   activations  [r0 k0…7][r1 k0…7]
 *   codes        [c0][c1][c2][c3] of k0…3 and of k4…7 ──zip──▶ [c0 k0…7][c1 k0…7] and [c2 k0…7][c3 k0…7]
 *   sums         [r0·c0][r0·c1][r1·c0][r1·c1]             and  [r0·c2][r0·c3][r1·c2][r1·c3]
 *
 *   exact: Σ a·w = 256·Σ high·w + Σ low·w, where a = 256·high + low, high signed and low unsigned, as they were prepared
 *   fast:  Σ (a − zero)·w = Σ a·w − zero·Σ w
 *
 * An odd last row is multiplied by sdot and sudot: as the half of a pair it would take as many products and more steps. */
enum { HIGH_BYTES, LOW_BYTES, FAST_BYTES };

/* What touches memory stays before or behind the first, a sum's products before the second: compilers else load all of a
 * sub-block's codes first, and keep sums on the stack. */
#define IN_ORDER() __asm__ volatile("" ::: "memory")
#define IN_TURN(x) __asm__ volatile("" : "+w"(x))

/* 8 k of two rows. The second is a number, so that it is loaded into its half of the vector. */
GSK_INLINE int8x16_t loadPair(const int8_t *a, const int8_t *b) {
  int64_t second;
  memcpy(&second, b, sizeof second);
  int64x2_t first = vreinterpretq_s64_s8(vcombine_s8(vld1_s8(a), vdup_n_s8(0)));
  return vreinterpretq_s8_s64(vsetq_lane_s64(second, first, 1));
}

/* Two units of 4 columns. */
GSK_INLINE void loadUnits(const int BITS, const uint8_t *codes, int8x16_t numbers, int8x16_t *v,
                          int8x16_t *w) {
  if (BITS == 8) {
    *v = vld1q_s8((const int8_t *)codes);
    *w = vld1q_s8((const int8_t *)codes + 4 * GSK_PANEL);
  } else {
    uint8x16_t b = vld1q_u8(codes);
    *v = vqtbl1q_s8(numbers, vandq_u8(b, vdupq_n_u8(15)));
    *w = vqtbl1q_s8(numbers, vshrq_n_u8(b, 4));
  }
}

/* From 4 k and the next 4 of columns 0 to 3: 8 k of columns 0 and 1, and of 2 and 3. */
GSK_INLINE void zipUnits(int8x16_t *v, int8x16_t *w) {
  int32x4_t a = vreinterpretq_s32_s8(*v), b = vreinterpretq_s32_s8(*w);
  *v = vreinterpretq_s8_s32(vzip1q_s32(a, b));
  *w = vreinterpretq_s8_s32(vzip2q_s32(a, b));
}

GSK_INLINE int32x4_t addPair(const int PART, int32x4_t sum, int8x16_t x, int8x16_t w) {
  return PART == HIGH_BYTES ? vmmlaq_s32(sum, x, w) : vusmmlaq_s32(sum, vreinterpretq_u8_s8(x), w);
}

/* 8 k of one row, and two units of 4 columns. */
GSK_INLINE int32x4_t addLast(const int PART, int32x4_t sum, int8x8_t x, int8x16_t v, int8x16_t w) {
  if (PART == HIGH_BYTES) return vdotq_lane_s32(vdotq_lane_s32(sum, v, x, 0), w, x, 1);
  uint8x8_t u = vreinterpret_u8_s8(x);
  return vsudotq_lane_s32(vsudotq_lane_s32(sum, v, u, 0), w, u, 1);
}

/* Adds the products of MR rows and a sub-block's codes; of a pair of rows to sums as in the head of this file. */
GSK_INLINE void addBytes(const int MR, const int BITS, const int SUB, const int PART,
                         const int8_t *a, int64_t stride, const uint8_t *codes, const int8_t *table,
                         int32x4_t sum[][TILE_VECS]) {
  const int8x16_t numbers = vld1q_s8(table);
  /* the codes of fewer rows' tiles stay in registers from the high bytes to the low */
  const int ORDERED = MR > 2;
  if (PART == LOW_BYTES) a += GSK_BLOCK;
  GSK_UNROLL for (int k = 0; k < SUB; k += 8, a += 8, codes += BITS * GSK_PANEL) {
    int8x16_t x[CODES_ROWS / 2];
    int8x8_t last;
    if (ORDERED) IN_ORDER();
    GSK_UNROLL for (int i = 0; i + 1 < MR; i += 2)
        x[i / 2] = loadPair(a + i * stride, a + (i + 1) * stride);
    if (MR % 2) last = vld1_s8(a + (MR - 1) * stride);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      int8x16_t v, w;
      if (ORDERED) IN_ORDER();
      loadUnits(BITS, codes + 16 * j, numbers, &v, &w);
      if (MR % 2) sum[MR - 1][j] = addLast(PART, sum[MR - 1][j], last, v, w);
      zipUnits(&v, &w);
      GSK_UNROLL for (int i = 0; i + 1 < MR; i += 2) {
        sum[i][j] = addPair(PART, sum[i][j], x[i / 2], v);
        sum[i + 1][j] = addPair(PART, sum[i + 1][j], x[i / 2], w);
      }
      GSK_UNROLL for (int i = 0; i < MR; i++) if (ORDERED) IN_TURN(sum[i][j]);
    }
  }
}

/* Sums of fast begin with −zero·Σ w. */
GSK_INLINE void startFast(const int MR, const int32_t *zeros, int64_t zero_stride,
                          const int16_t *columns, int32x4_t sum[][TILE_VECS]) {
  int32x2_t z[CODES_ROWS]; /* −zero of a row, twice */
  GSK_UNROLL for (int i = 0; i < MR; i++) z[i] = vdup_n_s32((int16_t)zeros[i * zero_stride]);
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    int32x4_t c = vmovl_s16(vld1_s16(columns + j * LANES));
    int32x2_t left = vget_low_s32(c), right = vget_high_s32(c);
    GSK_UNROLL for (int i = 0; i + 1 < MR; i += 2) {
      sum[i][j] = vmulq_s32(vcombine_s32(left, left), vcombine_s32(z[i], z[i + 1]));
      sum[i + 1][j] = vmulq_s32(vcombine_s32(right, right), vcombine_s32(z[i], z[i + 1]));
    }
    if (MR % 2) sum[MR - 1][j] = vmulq_s32(c, vcombine_s32(z[MR - 1], z[MR - 1]));
  }
}

GSK_INLINE void toRows(const int MR, int32x4_t sum[][TILE_VECS]) {
  GSK_UNROLL for (int i = 0; i + 1 < MR; i += 2) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    int64x2_t left = vreinterpretq_s64_s32(sum[i][j]), right = vreinterpretq_s64_s32(sum[i + 1][j]);
    sum[i][j] = vreinterpretq_s32_s64(vzip1q_s64(left, right));
    sum[i + 1][j] = vreinterpretq_s32_s64(vzip2q_s64(left, right));
  }
}

#define BYTES_STEP 2
#include "kernels_codes_bytes_arm64.h"
