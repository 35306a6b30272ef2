/* Attention of one text, head by head; see kernels_body.h.
 *
 *   keys    ─transposed, times scale·log2 e─▶ panels [size][KEYS]: a tile's keys stand side by side
 *   values  ─copied──▶ [rows][wide]: line after line, where the activations have one a page
 *   6 query rows × a panel  ─▶ scores [6][width], all keys of the text: no L×L buffer, no rescaling
 *   softmax: the largest score comes out of the tiles; one pass for the powers and their sum
 *   6 rows of powers × values ─▶ result, times the inverse of the sum
 */
enum { KEYS = ATTEND_VECS * LANES }; /* of a panel; a multiple of GSK_LANES */

/* One head of a text; wide and width are size and rows up to whole 16. */
typedef struct head {
  const float *query;
  int64_t stride, size, wide, rows, width;
  float *keys, *values, *scores;
} head;

/* Panels of KEYS keys, and behind the last whole one panels of 16: where key `key`, a multiple of a panel, begins. */
GSK_INLINE int64_t panelOf(const head *h, int64_t key, int64_t *stride) {
  int64_t whole = h->width / KEYS * KEYS;
  *stride = key < whole ? KEYS : GSK_LANES;
  int64_t within = key % *stride;
  return (key - within) * h->size + within;
}

/* Keys [r, r + LANES) to their panel; those that are not there are zeros. */
GSK_INLINE void packKeys(const head *h, const float *k, float factor, int64_t r) {
  int64_t stride, at = panelOf(h, r, &stride), d = 0;
  for (; d + LANES <= h->size; d += LANES) {
    V block[LANES];
    GSK_UNROLL for (int i = 0; i < LANES; i++)
        block[i] = r + i < h->rows ? load(k + i * h->stride + d) : set1(0.0f);
    transpose(block);
    GSK_UNROLL for (int i = 0; i < LANES; i++)
        store(h->keys + at + (d + i) * stride, mul(block[i], set1(factor)));
  }
  for (; d < h->size; d++)
    for (int i = 0; i < LANES; i++)
      h->keys[at + d * stride + i] = r + i < h->rows ? k[i * h->stride + d] * factor : 0.0f;
}

GSK_INLINE void packHead(const head *h, const float *k, const float *v, float factor) {
  for (int64_t r = 0; r < h->width; r += LANES) packKeys(h, k + r * h->stride, factor, r);
  for (int64_t r = 0; r < h->rows; r++) {
    memcpy(h->values + r * h->wide, v + r * h->stride, (size_t)h->size * sizeof(float));
    for (int64_t d = h->size; d < h->wide; d++) h->values[r * h->wide + d] = 0.0f;
  }
}

/* acc[i][j] += a[i][t]·b[t][j], t upwards: both products. */
GSK_INLINE void multiply(const int MR, const int VECS, const float *a, int64_t a_stride,
                         const float *b, int64_t b_stride, int64_t n, V acc[][ATTEND_VECS]) {
  for (int64_t t = 0; t < n; t++) {
    V v[ATTEND_VECS];
    GSK_UNROLL for (int j = 0; j < VECS; j++) v[j] = load(b + t * b_stride + j * LANES);
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      V x = set1(a[i * a_stride + t]);
      GSK_UNROLL for (int j = 0; j < VECS; j++) acc[i][j] = fmaV(x, v[j], acc[i][j]);
    }
  }
}

/* Scores of MR query rows and VECS vectors of keys; the largest go to `most`. Keys that are not there start so
 * low that their powers vanish beside the largest's 1. */
GSK_INLINE void scoreTile(const int MR, const int VECS, const head *h, int64_t row, int64_t key,
                          const float *lows, V *most) {
  V acc[GSK_QUERY_ROWS][ATTEND_VECS];
  const float *start = key + VECS * LANES == h->width ? lows + KEYS + GSK_LANES - VECS * LANES
                                                      : lows;
  GSK_UNROLL for (int j = 0; j < VECS; j++) {
    V s = load(start + j * LANES);
    GSK_UNROLL for (int i = 0; i < MR; i++) acc[i][j] = s;
  }
  multiply(MR, VECS, h->query + row * h->stride, h->stride, h->keys + key * h->size, VECS * LANES,
           h->size, acc);
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < VECS; j++) {
    store(h->scores + i * h->width + key + j * LANES, acc[i][j]);
    most[i] = maxV(most[i], acc[i][j]);
  }
}

GSK_INLINE void valueTile(const int MR, const int VECS, const head *h, const float *inverse,
                          int64_t column, float *out, int64_t out_stride) {
  V acc[GSK_QUERY_ROWS][ATTEND_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      acc[i][j] = set1(0.0f);
  multiply(MR, VECS, h->scores, h->width, h->values + column, h->wide, h->rows, acc);
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      store(out + i * out_stride + column + j * LANES, mul(acc[i][j], set1(inverse[i])));
}

/* Scores to powers 2^(score − most), not yet divided by their sum; 1/sum. */
GSK_INLINE float softmaxRow(float *s, int64_t width, V most) {
  V sum[PARTS], top = set1(maxLanes(most));
  GSK_UNROLL for (int v = 0; v < PARTS; v++) sum[v] = set1(0.0f);
  for (int64_t j = 0; j < width; j += GSK_LANES) GSK_UNROLL for (int v = 0; v < PARTS; v++) {
      V e = maxV(sub(load(s + j + v * LANES), top), set1(-125.0f));
      exp2V(1, &e);
      store(s + j + v * LANES, e);
      sum[v] = add(sum[v], e);
    }
  return 1.0f / fold(sum);
}

GSK_INLINE void attendRows(const int MR, const head *h, int64_t row, const float *lows, float *out,
                           int64_t out_stride) {
  V most[GSK_QUERY_ROWS];
  GSK_UNROLL for (int i = 0; i < MR; i++) most[i] = set1(-3.0e38f);
  int64_t key = 0, column = 0;
  for (; key + KEYS <= h->width; key += KEYS) scoreTile(MR, ATTEND_VECS, h, row, key, lows, most);
  for (; key < h->width; key += GSK_LANES) scoreTile(MR, PARTS, h, row, key, lows, most);
  float inverse[GSK_QUERY_ROWS];
  for (int i = 0; i < MR; i++) inverse[i] = softmaxRow(h->scores + i * h->width, h->width, most[i]);
  for (; column + KEYS <= h->wide; column += KEYS)
    valueTile(MR, ATTEND_VECS, h, inverse, column, out, out_stride);
  if (KEYS > 32) /* head size 32 */
    for (; column + 32 <= h->wide; column += 32)
      valueTile(MR, 32 / LANES, h, inverse, column, out, out_stride);
  for (; column < h->wide; column += GSK_LANES)
    valueTile(MR, PARTS, h, inverse, column, out, out_stride);
}

/* Query rows [row, row + MR); results of a size that is no multiple of 16 are cut out of whole vectors. */
GSK_INLINE void attendTo(const int MR, const head *h, int64_t row, const float *lows, float *out,
                         int64_t out_stride) {
  float *to = out + row * out_stride;
  if (h->size == h->wide) {
    attendRows(MR, h, row, lows, to, out_stride);
    return;
  }
  float *whole = h->scores + GSK_QUERY_ROWS * h->width;
  attendRows(MR, h, row, lows, whole, h->wide);
  for (int i = 0; i < MR; i++)
    memcpy(to + i * out_stride, whole + i * h->wide, (size_t)h->size * sizeof(float));
}

static void attention(const gsk_attention *g, int64_t h0, int64_t h1) {
  int64_t size = g->head_size, columns = g->heads * size;
  head h = {.stride = g->stride,
            .size = size,
            .wide = gsk_up(size, GSK_LANES),
            .rows = g->rows,
            .width = gsk_up(g->rows, GSK_LANES)};
  h.keys = g->scratch, h.values = h.keys + h.width * size, h.scores = h.values + h.rows * h.wide;
  float lows[KEYS + GSK_LANES] = {0};
  for (int64_t i = GSK_LANES - (h.width - h.rows); i < GSK_LANES; i++) lows[KEYS + i] = -3.0e38f;
  for (int64_t i = h0; i < h1; i++) {
    const float *k = g->qkv + columns + i * size;
    float *out = g->out + i * size;
    h.query = g->qkv + i * size;
    packHead(&h, k, k + columns, g->scale * 1.44269504f); /* exp(x) = 2^(x·log2 e) */
    int64_t r = 0;
    for (; r + 6 <= h.rows; r += 6) attendTo(6, &h, r, lows, out, g->out_stride);
    if (r + 4 <= h.rows) attendTo(4, &h, r, lows, out, g->out_stride), r += 4;
    if (r + 2 <= h.rows) attendTo(2, &h, r, lows, out, g->out_stride), r += 2;
    if (r < h.rows) attendTo(1, &h, r, lows, out, g->out_stride);
  }
}
