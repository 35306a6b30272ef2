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
    int8x16_t x[TILE_ROWS], v[TILE_VECS], w[TILE_VECS];
    GSK_UNROLL for (int i = 0; i < MR; i++) x[i] = signedBytes(PART, a + i * stride + k);
    if (BITS == 8) {
      DOT_BYTES(0) DOT_BYTES(1) DOT_BYTES(2) DOT_BYTES(3)
    } else {
      DOT_NIBBLES(0) DOT_NIBBLES(2)
    }
  }
}

/* The sums of a sub-block from k `at` of the rows on. columns: fast, the sums of the columns' codes. */
GSK_INLINE void sumBlock(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                         const int FAST, int64_t row, int64_t at, const uint8_t *codes,
                         const int16_t *columns, int32x4_t sum[][TILE_VECS]) {
  const int8_t *a = (const int8_t *)g->a.data + row * g->a.stride, *table = g->w->form.table;
  const int64_t blocks = g->w->k / GSK_BLOCK;
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      sum[i][j] = vdupq_n_s32(0);
  if (FAST) {
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      int32_t minusZero = (int16_t)g->a.zeros[(row + i) * blocks + at / GSK_BLOCK];
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
          sum[i][j] = vmulq_n_s32(vmovl_s16(vld1_s16(columns + j * LANES)), 128 + minusZero);
    }
    addBytes(MR, BITS, SUB, FAST_BYTES, a + at, g->a.stride, codes, table, sum);
    return;
  }
  a += at / GSK_BLOCK * 2 * GSK_BLOCK + at % GSK_BLOCK;
  addBytes(MR, BITS, SUB, HIGH_BYTES, a, g->a.stride, codes, table, sum);
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      sum[i][j] = vshlq_n_s32(sum[i][j], 8);
  addBytes(MR, BITS, SUB, LOW_BYTES, a, g->a.stride, codes, table, sum);
}

/* One tile: MR rows × TILE_VECS vectors of columns from `first` of panel p. */
GSK_INLINE void tileCodes(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                          const int MIN, const int HALF, const int FAST, int64_t row, int64_t p,
                          int first) {
  const gsk_matrix *w = g->w;
  const uint8_t *block = w->data + p * w->panel_bytes;
  const int codeBytes = GSK_PANEL * SUB * BITS / 8, numberBytes = GSK_PANEL * (HALF ? 2 : 4);
  V acc[TILE_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      acc[i][j] = set1(0.0f);
  for (int64_t b = 0; b < w->k / SUB; b++) {
    int32x4_t sum[TILE_ROWS][TILE_VECS];
    const uint8_t *numbers = block + codeBytes, *columns = numbers + numberBytes * (1 + MIN);
    sumBlock(g, MR, BITS, SUB, FAST, row, b * SUB, block + 4 * first,
             (const int16_t *)columns + first, sum);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      V s = loadScale(numbers, HALF, first + j * LANES), m = s;
      if (MIN) m = loadScale(numbers + numberBytes, HALF, first + j * LANES);
      GSK_UNROLL for (int i = 0; i < MR; i++) acc[i][j] = addBlock(
          g, SUB, MIN, FAST, row + i, b, vcvtq_f32_s32(sum[i][j]), s, m, acc[i][j]);
    }
    block = columns + (FAST ? 2 * GSK_PANEL : 0);
  }
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      finishColumns(g, FAST, row + i, p * GSK_PANEL + first + j * LANES, acc[i][j]);
}

GSK_INLINE void codesForm(const gsk_linear *g, const int BITS, const int SUB, const int MIN,
                          const int HALF, const int FAST, int64_t r0, int64_t r1, int64_t p0,
                          int64_t p1) {
#define GSK_CODES_TILE(MR) tileCodes(g, MR, BITS, SUB, MIN, HALF, FAST, r, p, first)
  GSK_EACH_TILE(GSK_CODES_TILE, TILE_ROWS)
}
