/* Tiles of 4-bit codes that count up by one (gsk_count), for sets whose products of bytes saturate; see kernels_codes.h.
 *
 *   block of 32 k ──codes · bytes──▶ int16 sums ──pairs, zeros──▶ int32 sums ──toFloat · scale──▶ float accumulators
 *
 * Of codes up to 15 the sums of a whole block fit int16, so that nothing is widened on the way, and unsigned they are
 * ready when they are masked. Only products are unrolled by rows. What comes once a block is a loop: with copies for each
 * number of rows a form was 9 KB, it is 4. */

/* A lane takes two of each four products; bytes are down to −128. (TestGreatestCodesAtTheFence) */
_Static_assert(GSK_BLOCK / 4 * 2 * 15 * 128 <= INT16_MAX, "sums of a block that are no int16");

/* int16 sums of MR rows of bytes from a and a block's codes. */
GSK_INLINE void sumsOfNibbles(const int MR, const char *a, int64_t stride, const uint8_t *codes,
                              fetch *f, VW to[][TILE_VECS]) {
  VW sum[CODES_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      sum[i][j] = zeroI();
  for (int u = opaque(GSK_BLOCK / 8); u > 0; u--, codes += 4 * GSK_PANEL) {
    VB v[TILE_VECS], w[TILE_VECS];
    fetchStep(f, 2);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) loadCounts(codes + j * 4 * LANES, &v[j], &w[j]);
    DOT_ROWS(dotShort, quad, VQ, v)
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) IN_TURN(w[j]);
    DOT_ROWS(dotShort, quad, VQ, w)
  }
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      to[i][j] = sum[i][j];
}

/* The same of a number of rows that is known when it runs: a jump a block, in one copy of all else. */
GSK_INLINE void sumsOfRows(int64_t rows, const char *a, int64_t stride, const uint8_t *codes,
                           fetch *f, VW to[][TILE_VECS]) {
#define GSK_SUMS(MR) sumsOfNibbles(MR, a, stride, codes, f, to)
  GSK_TILE(GSK_SUMS, CODES_ROWS, rows);
}

/* A block's sums to the accumulators. Of activations a less their zero z and codes n less theirs, kept as a − 128 and n:
 * Σ(a − z)·(n − zero) = Σ(a − 128)·n + (128 − z)·Σn − zero·Σ(a − z). */
GSK_INLINE
void addNibbles(const gsk_linear *g, const int MIN, int64_t row, int64_t block, int64_t rows,
                int first, const uint8_t *numbers, const VW sums[][TILE_VECS], tile_sums *to) {
  const gsk_form *form = &g->w->form;
  const int half = form->half_scale, bytes = GSK_PANEL * (half ? 2 : 4);
  const int16_t *columns = (const int16_t *)(numbers + bytes * (1 + MIN)) + first;
  const int64_t blocks = g->w->k / GSK_BLOCK;
  const int32_t *zeros = g->a.zeros + row * blocks + block;
  V s[TILE_VECS], m[TILE_VECS];
  VW c[TILE_VECS];
  GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    s[j] = m[j] = loadScale(numbers, half, first + j * LANES);
    if (MIN) m[j] = loadScale(numbers + bytes, half, first + j * LANES);
    c[j] = loadSumsAnd(columns + j * LANES, -form->zero);
  }
  for (int64_t i = 0; i < rows; i++, zeros += blocks)
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      float *acc = to->row[i][j];
      V sum = toFloat(dot(addPairs(sums[i][j]), pair(zeros), c[j]));
      store(acc, addBlock(g, GSK_BLOCK, MIN, 1, row + i, block, sum, s[j], m[j], load(acc)));
    }
}

GSK_INLINE void tileNibbles(const gsk_linear *args, const int MIN, int64_t rows, int64_t row,
                            int64_t p, int first, int64_t part) {
  const gsk_matrix matrix = *args->w, *w = &matrix; /* copies, as in tileCodes */
  gsk_linear copy = *args, *g = &copy;
  copy.w = w;
  const int codeBytes = GSK_PANEL * GSK_BLOCK / 2;
  const int behind = (int)gsk_codes_bytes(&w->form) - codeBytes;
  const uint8_t *codes = w->data + p * w->panel_bytes;
  const char *a = (const char *)g->a.data + row * g->a.stride;
  fetch f = fetchOf(w, p, part, w->k / 8, 4 * GSK_PANEL, behind);
  VW sums[CODES_ROWS][TILE_VECS];
  tile_sums to;
  for (int64_t i = 0; i < rows; i++)
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) store(to.row[i][j], set1(0.0f));
  for (int64_t b = 0; b < w->k / GSK_BLOCK; b++, a += GSK_BLOCK, codes += codeBytes + behind) {
    sumsOfRows(rows, a, g->a.stride, codes + 4 * first, &f, sums);
    fetchBehind(&f, behind);
    addNibbles(g, MIN, row, b, rows, first, codes + codeBytes, sums, &to);
  }
  finishTile(g, 1, row, p * GSK_PANEL + first, (int)rows, &to);
}

/* clang-format off */
#define GSK_NIBBLES_FUNCTION(NAME, MIN)                                                            \
  static __attribute__((noinline)) void NAME(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) { \
    GSK_EACH_ROWS(tileNibbles(g, MIN, rows, r, p, first, GSK_PART), 1, CODES_ROWS)                 \
  }
/* clang-format on */
GSK_NIBBLES_FUNCTION(NIBBLES_ALONE, 0)
GSK_NIBBLES_FUNCTION(NIBBLES_MIN, 1)
