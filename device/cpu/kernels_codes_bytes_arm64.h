/* Tiles of codes forms by products of bytes, whose int32 sums are every other set's; see kernels_linear.h. The file of a
 * set's instructions includes this one; it defines
 *
 *   HIGH_BYTES, LOW_BYTES, FAST_BYTES   what of the activations a call multiplies
 *   BYTES_STEP                          rows that are multiplied together; tiles begin at multiples of it
 *   startFast(…)                        sums of fast before any product, with all that is owed to zeros
 *   addBytes(…)                         adds the products of MR rows and a sub-block's codes to the sums
 *   toRows(MR, sum)                     the sums as 4 columns of a row, sum[row][vector], where they lay otherwise */

/* The sums of a sub-block from k `at` of the rows on. columns: fast, the sums of the columns' codes. */
GSK_INLINE void sumBlock(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                         const int FAST, int64_t row, int64_t at, const uint8_t *codes,
                         const int16_t *columns, int32x4_t sum[][TILE_VECS]) {
  const int8_t *a = (const int8_t *)g->a.data + row * g->a.stride, *table = g->w->form.table;
  const int64_t blocks = g->w->k / activationBlock(SUB);
  if (FAST) {
    startFast(MR, g->a.zeros + row * blocks + at / activationBlock(SUB), blocks, columns, sum);
    addBytes(MR, BITS, SUB, FAST_BYTES, a + at, g->a.stride, codes, table, sum);
  } else {
    GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
        sum[i][j] = vdupq_n_s32(0);
    a += highByteAt(at);
    addBytes(MR, BITS, SUB, HIGH_BYTES, a, g->a.stride, codes, table, sum);
    GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
        sum[i][j] = vshlq_n_s32(sum[i][j], 8);
    addBytes(MR, BITS, SUB, LOW_BYTES, a, g->a.stride, codes, table, sum);
  }
  toRows(MR, sum);
}

/* One tile: MR rows × TILE_VECS vectors of columns from `first` of panel p. */
GSK_INLINE void tileCodes(const gsk_linear *args, const int MR, const int BITS, const int SUB,
                          const int MIN, const int HALF, const int FAST, int64_t row, int64_t p,
                          int first) {
  /* copies, which stay in registers: what the arguments point at is read again behind everything that touches memory */
  const gsk_matrix matrix = *args->w, *w = &matrix;
  gsk_linear copy = *args, *g = &copy;
  copy.w = w;
  const uint8_t *block = w->data + p * w->panel_bytes;
  const int codeBytes = GSK_PANEL * SUB * BITS / 8, numberBytes = GSK_PANEL * (HALF ? 2 : 4);
  V acc[CODES_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      acc[i][j] = set1(0.0f);
  for (int64_t b = 0; b < w->k / SUB; b++) {
    int32x4_t sum[CODES_ROWS][TILE_VECS];
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
  GSK_EACH_TILE_OF(GSK_CODES_TILE, CODES_ROWS, BYTES_STEP, CODES_ROWS)
}
