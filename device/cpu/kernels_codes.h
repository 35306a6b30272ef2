/* Tiles of codes forms by vector instructions; see kernels_linear.h.
 *
 *   sub-block of 32 or 16 k ──dot products──▶ int32 sums ──toFloat · scale──▶ float accumulators
 *
 * Of words, which are exact's activations, and fast's where the set has no products of bytes: the accumulators lie in the
 * first cache and leave the registers to the sums, so that a tile has more rows and codes are widened less often. Of
 * bytes nothing is widened and there is half the products a block: accumulators are held in registers, since all that
 * passes between two blocks counts twice. Tiles of Q8_0's form may be a set's own. */

/* What touches memory stays before or behind it. Compilers move loads to where they are used, and all of a kind together. */
#define IN_ORDER() __asm__ volatile("" ::: "memory")

/* A vector is computed here: clang otherwise widens codes where they are multiplied, and converts all sums at once. */
#ifndef IN_TURN
#define IN_TURN(x)
#endif

/* MR rows' products of one unit of k, their activations at a + i·stride, and the codes in w. */
#define DOT_ROWS(OP, LOAD, TYPE, w)                                                    \
  GSK_UNROLL for (int i = 0; i < MR; i++) {                                            \
    TYPE x = LOAD(a + i * stride);                                                     \
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = OP(sum[i][j], x, w[j]); \
  }                                                                                    \
  a += 4;

/* Whether the activations are bytes. */
#define TAKES_BYTES(FAST) (FAST && FAST_UNIT == 4)

#if WIDENS /* no tile is of 4 bits then */
#define loadNibbles(p, t, lo, hi) ((void)(t))
#define loadNibbleBytes(p, t, lo, hi) ((void)(t))
#endif

GSK_INLINE void loadUnit(const uint8_t *codes, VW *v) {
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) v[j] = loadCodes(codes + j * 2 * LANES);
}

/* Sums of MR rows of int16 from a and a sub-block's codes. Codes of 8 bits are widened a unit ahead: else every
 * product waits for it. (The unit behind the last is the block's scales, which are there.) */
GSK_INLINE void sumsOfWords(const int MR, const int BITS, const int SUB, const char *a,
                            int64_t stride, const uint8_t *codes, const int8_t *table, fetch *f,
                            VI sum[][TILE_VECS]) {
  VW v[TILE_VECS], w[TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      sum[i][j] = zeroI();
  if (BITS == 8) loadUnit(codes, v);
  for (int u = opaque(SUB / 4); u > 0; u--) {
    fetchStep(f, BITS == 8 ? 2 : 1);
    if (BITS == 8) {
      loadUnit(codes + 2 * GSK_PANEL, w);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) IN_TURN(w[j]);
      IN_ORDER();
    } else {
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
          loadNibbles(codes + j * 2 * LANES, table, &v[j], &w[j]);
    }
    DOT_ROWS(dot, pair, VI, v)
    codes += BITS == 8 ? 4 * GSK_PANEL : 2 * GSK_PANEL;
    if (BITS == 8) {
      IN_ORDER();
      loadUnit(codes, v);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) IN_TURN(v[j]);
      IN_ORDER();
    }
    DOT_ROWS(dot, pair, VI, w)
  }
}

#if FAST_UNIT == 4
/* The same of bytes, from sums that start at −zero·(sum of the column's codes). */
GSK_INLINE void sumsOfBytes(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                            int64_t row, int64_t block, const char *a, const uint8_t *codes,
                            const int16_t *columns, fetch *f, VI sum[][TILE_VECS]) {
  const int64_t stride = g->a.stride, blocks = g->w->k / activationBlock(SUB);
  const int32_t *zeros = g->a.zeros + row * blocks + block * SUB / activationBlock(SUB);
  const int8_t *table = g->w->form.table;
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    VW c = loadSums(columns + j * LANES);
    GSK_UNROLL for (int i = 0; i < MR; i++) sum[i][j] = dot(zeroI(), pair(zeros + i * blocks), c);
  }
  for (int u = opaque(SUB / (BITS == 8 ? 4 : 8)); u > 0; u--, codes += 4 * GSK_PANEL) {
    VB v[TILE_VECS], w[TILE_VECS];
    fetchStep(f, MR < 6 ? 2 : 1); /* in tiles of more rows a second would cost 3 % */
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      if (BITS == 8) v[j] = loadBytes(codes + j * 4 * LANES);
      else loadNibbleBytes(codes + j * 4 * LANES, table, &v[j], &w[j]);
    }
    DOT_ROWS(dotBytes, quad, VQ, v)
    if (BITS == 4) { DOT_ROWS(dotBytes, quad, VQ, w) }
  }
}
#else /* no activations are bytes */
#define sumsOfBytes(g, MR, BITS, SUB, row, block, a, codes, columns, f, sum)
#endif

/* The accumulators of a tile, where they are not in registers. */
typedef struct tile_sums {
  float row[CODES_ROWS][TILE_VECS][LANES] __attribute__((aligned(64)));
} tile_sums;

#ifdef Q8_TILES
#include Q8_TILES
#define HAS_Q8_TILES 1
#else
#define HAS_Q8_TILES 0
#define tileQ8(g, MR, FAST, row, p, part, parts) ((void)(parts))
#endif

/* A loop: of each number of rows a copy would be 0.2 MB a binary. */
GSK_INLINE void finishTile(const gsk_linear *g, const int FAST, int64_t row, int64_t column,
                           int rows, const tile_sums *sums) {
  V bias[TILE_VECS];
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      bias[j] = g->bias ? load(g->bias + column + j * LANES) : set1(0.0f);
  float *out = g->out + row * g->out_stride + column;
  for (int i = 0; i < opaque(rows); i++, out += g->out_stride) {
    V scale = set1(FAST ? 1.0f : g->a.scales[row + i]);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
        store(out + j * LANES, fmaV(load(sums->row[i][j]), scale, bias[j]));
  }
}

/* One tile: MR rows × TILE_VECS vectors of columns from `first` of panel p. */
GSK_INLINE void tileCodes(const gsk_linear *args, const int MR, const int BITS, const int SUB,
                          const int MIN, const int HALF, const int FAST, int64_t row, int64_t p,
                          int first, int64_t part, int64_t parts) {
  if (HAS_Q8_TILES && IS_Q8(BITS, SUB, MIN, HALF)) {
    tileQ8(args, MR, FAST, row, p, part, parts);
    return;
  }
  const int BYTES = TAKES_BYTES(FAST);
  /* copies, which stay in registers: what the arguments point at is read again behind everything that touches memory */
  const gsk_matrix matrix = *args->w, *w = &matrix;
  gsk_linear copy = *args, *g = &copy;
  copy.w = w;
  const uint8_t *block = w->data + p * w->panel_bytes;
  const int codeBytes = GSK_PANEL * SUB * BITS / 8, numberBytes = GSK_PANEL * (HALF ? 2 : 4);
  const int64_t stride = g->a.stride, blocks = w->k / SUB;
  const char *a = (const char *)g->a.data + row * stride;
  const int step = BITS == 8 || BYTES ? 4 * GSK_PANEL : 2 * GSK_PANEL;
  const int behind = numberBytes * (1 + MIN) + (BYTES ? 2 * GSK_PANEL : 0);
  fetch f = fetchOf(w, p, part, blocks * (codeBytes / step), step, behind);
  tile_sums memory, *lying = &memory;
  __asm__("" : "+r"(lying)); /* else clang takes it for registers, and spills */
  V held[CODES_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    held[i][j] = set1(0.0f);
    if (!BYTES) store(lying->row[i][j], held[i][j]);
  }
  for (int64_t b = 0; b < blocks; b++, a += BYTES ? SUB : 2 * SUB) {
    VI sum[CODES_ROWS][TILE_VECS];
    V s[TILE_VECS], m[TILE_VECS];
    const uint8_t *codes = block + (BYTES ? 4 : 2) * first, *numbers = block + codeBytes;
    block = numbers + numberBytes * (1 + MIN);
    if (BYTES) {
      sumsOfBytes(g, MR, BITS, SUB, row, b, a, codes, (const int16_t *)block + first, &f, sum);
      block += 2 * GSK_PANEL;
    } else {
      sumsOfWords(MR, BITS, SUB, a, stride, codes, w->form.table, &f, sum);
    }
    fetchBehind(&f, behind);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      s[j] = m[j] = loadScale(numbers, HALF, first + j * LANES);
      if (MIN) m[j] = loadScale(numbers + numberBytes, HALF, first + j * LANES);
    }
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      if (!BYTES)
        IN_ORDER(); /* row by row: all conversions first would wait for the last products */
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
        if (!BYTES) {
          IN_TURN(sum[i][j]);
          held[i][j] = load(lying->row[i][j]);
        }
        held[i][j] = addBlock(g, SUB, MIN, FAST, row + i, b, toFloat(sum[i][j]), s[j], m[j],
                              held[i][j]);
        if (!BYTES) store(lying->row[i][j], held[i][j]);
      }
    }
  }
  if (BYTES) {
    GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
        finishColumns(g, FAST, row + i, p * GSK_PANEL + first + j * LANES, held[i][j]);
  } else {
    finishTile(g, FAST, row, p * GSK_PANEL + first, MR, lying);
  }
}

GSK_INLINE void codesForm(const gsk_linear *g, const int BITS, const int SUB, const int MIN,
                          const int HALF, const int FAST, int64_t r0, int64_t r1, int64_t p0,
                          int64_t p1) {
#define GSK_CODES_TILE(MR) \
  tileCodes(g, MR, BITS, SUB, MIN, HALF, FAST, r, p, first, GSK_PART, tiles)
  const int most = TAKES_BYTES(FAST) ? TILE_ROWS : CODES_ROWS;
  /* in assembly tiles of TILE_ROWS are the fastest, but two of more rows wait less for weights than three */
  const int64_t size = HAS_Q8_TILES && IS_Q8(BITS, SUB, MIN, HALF) && r1 - r0 > 2 * most ? TILE_ROWS
                                                                                         : most;
  GSK_EACH_TILE_OF(GSK_CODES_TILE, most, 1, size)
}
