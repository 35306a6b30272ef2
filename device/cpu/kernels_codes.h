/* Tiles of codes forms by vector instructions; see kernels_linear.h.
 *
 *   sub-block of 32 or 16 k ──dot products──▶ int32 sums (exact) ──toFloat · scale──▶ float accumulators
 */

/* A count that the compiler does not know, so that it leaves the loop a loop: unrolled, a set takes a megabyte. */
GSK_INLINE int opaque(int n) {
  __asm__("" : "+r"(n));
  return n;
}

/* exact: sums of MR rows of int16 from a and a sub-block's codes */
GSK_INLINE void sumsExact(const int MR, const int BITS, const int SUB, const char *a,
                          int64_t stride, const uint8_t *codes, const int8_t *table,
                          VI sum[][TILE_VECS]) {
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      sum[i][j] = zeroI();
  for (int u = opaque(SUB / (BITS == 8 ? 2 : 4)); u > 0; u--, codes += 2 * GSK_PANEL) {
    VW v[TILE_VECS], w[TILE_VECS];
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      if (BITS == 8) v[j] = loadCodes(codes + j * 2 * LANES);
      else loadNibbles(codes + j * 2 * LANES, table, &v[j], &w[j]);
    }
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      VI x = pair(a + i * stride);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dot(sum[i][j], x, v[j]);
    }
    a += 4;
    if (BITS == 8) continue;
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      VI x = pair(a + i * stride);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dot(sum[i][j], x, w[j]);
    }
    a += 4;
  }
}

/* fast: the same of bytes, from sums that start at −zero·(sum of the column's codes) */
GSK_INLINE void sumsFast(const int MR, const int BITS, const int SUB, const char *a, int64_t stride,
                         const uint8_t *codes, const int8_t *table, const int32_t *zeros,
                         int64_t zero_stride, const int16_t *columns, VI sum[][TILE_VECS]) {
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    VW c = loadSums(columns + j * LANES);
    GSK_UNROLL for (int i = 0; i < MR; i++)
        sum[i][j] = dot(zeroI(), pair(zeros + i * zero_stride), c);
  }
  for (int u = opaque(SUB / (BITS == 8 ? 4 : 8)); u > 0; u--, codes += 4 * GSK_PANEL) {
    VB v[TILE_VECS], w[TILE_VECS];
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      if (BITS == 8) v[j] = loadBytes(codes + j * 4 * LANES);
      else loadNibbleBytes(codes + j * 4 * LANES, table, &v[j], &w[j]);
    }
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      VQ x = quad(a + i * stride);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dotBytes(sum[i][j], x, v[j]);
    }
    a += 4;
    if (BITS == 8) continue;
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      VQ x = quad(a + i * stride);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dotBytes(sum[i][j], x, w[j]);
    }
    a += 4;
  }
}

/* One tile: MR rows × TILE_VECS vectors of columns from `first` of panel p. */
GSK_INLINE void tileCodes(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                          const int MIN, const int HALF, const int FAST, int64_t row, int64_t p,
                          int first) {
  const gsk_matrix *w = g->w;
  const uint8_t *block = w->data + p * w->panel_bytes;
  const int codeBytes = GSK_PANEL * SUB * BITS / 8, numberBytes = GSK_PANEL * (HALF ? 2 : 4);
  const int64_t stride = g->a.stride, activationBlocks = w->k / GSK_BLOCK;
  const char *a = (const char *)g->a.data + row * stride;
  V acc[TILE_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      acc[i][j] = set1(0.0f);
  for (int64_t b = 0; b < w->k / SUB; b++, a += FAST ? SUB : 2 * SUB) {
    VI sum[TILE_ROWS][TILE_VECS];
    const uint8_t *codes = block + (FAST ? 4 : 2) * first, *numbers = block + codeBytes;
    const int64_t at = row * activationBlocks +
                       b * SUB / GSK_BLOCK; /* of the row's scales and zeros */
    block = numbers + numberBytes * (1 + MIN);
    if (FAST) {
      sumsFast(MR, BITS, SUB, a, stride, codes, w->form.table, g->a.zeros + at, activationBlocks,
               (const int16_t *)block + first, sum);
      block += 2 * GSK_PANEL;
    } else {
      sumsExact(MR, BITS, SUB, a, stride, codes, w->form.table, sum);
    }
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      V s = loadScale(numbers, HALF, first + j * LANES), m = s;
      if (MIN) m = loadScale(numbers + numberBytes, HALF, first + j * LANES);
      GSK_UNROLL for (int i = 0; i < MR; i++)
          acc[i][j] = addBlock(g, SUB, MIN, FAST, row + i, b, toFloat(sum[i][j]), s, m, acc[i][j]);
    }
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
