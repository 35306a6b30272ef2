/* Attention of one text; see kernels_body.h. */
/* out[MR][count vectors] += a[MR][k]·b[k][…]: the two products of attention. Rows of a and b are strides apart. */
GSK_INLINE void product(const int MR, const int VECS, const float *a, int64_t a_stride, const float *b,
                        int64_t b_stride, int64_t k, float *out, int64_t out_stride) {
  V acc[GSK_QUERY_ROWS][4];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < VECS; j++) acc[i][j] = set1(0.0f);
  for (int64_t t = 0; t < k; t++) {
    V v[4];
    GSK_UNROLL for (int j = 0; j < VECS; j++) v[j] = load(b + t * b_stride + j * LANES);
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      V x = set1(a[i * a_stride + t]);
      GSK_UNROLL for (int j = 0; j < VECS; j++) acc[i][j] = fmaV(x, v[j], acc[i][j]);
    }
  }
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      store(out + i * out_stride + j * LANES, acc[i][j]);
}

/* widths are multiples of 16 = PARTS vectors */
GSK_INLINE void productRows(const int MR, const float *a, int64_t a_stride, const float *b, int64_t width,
                            int64_t k, float *out, int64_t out_stride) {
  int64_t j = 0;
  for (; j + 2 * LANES <= width; j += 2 * LANES) product(MR, 2, a, a_stride, b + j, width, k, out + j, out_stride);
  for (; j < width; j += LANES) product(MR, 1, a, a_stride, b + j, width, k, out + j, out_stride);
}

/* scores → probabilities, not yet divided by their sum, which is returned */
GSK_INLINE float softmaxRow(float *s, int64_t keys, int64_t width) {
  V m[PARTS], sum[PARTS];
  for (int64_t j = keys; j < width; j++) s[j] = -3.0e38f;
  for (int v = 0; v < PARTS; v++) m[v] = set1(-3.0e38f), sum[v] = set1(0.0f);
  for (int64_t j = 0; j < width; j += GSK_LANES)
    for (int v = 0; v < PARTS; v++) m[v] = maxV(m[v], load(s + j + v * LANES));
  V top = set1(foldMax(m));
  for (int64_t j = 0; j < width; j += GSK_LANES) {
    V e[PARTS];
    for (int v = 0; v < PARTS; v++) e[v] = exp2V(sub(load(s + j + v * LANES), top));
    for (int v = 0; v < PARTS; v++) store(s + j + v * LANES, e[v]);
    for (int64_t t = keys > j ? keys : j; t < j + GSK_LANES; t++) s[t] = 0.0f; /* keys that are not there */
    for (int v = 0; v < PARTS; v++) sum[v] = add(sum[v], load(s + j + v * LANES));
  }
  return fold(sum);
}

GSK_INLINE void attendRows(const int MR, const gsk_attention *g, int64_t row, int64_t head, const float *keys,
                           const float *values, float *scores, float *query) {
  int64_t size = g->head_size, wide = gsk_up(size, GSK_LANES), width = gsk_up(g->rows, GSK_LANES);
  const float factor = g->scale * 1.44269504f; /* exp(x) = 2^(x·log2 e) */
  for (int i = 0; i < MR; i++)
    for (int64_t d = 0; d < size; d++) query[i * wide + d] = g->qkv[(row + i) * g->stride + head * size + d] * factor;
  productRows(MR, query, wide, keys, width, size, scores, width);
  float total[GSK_QUERY_ROWS];
  for (int i = 0; i < MR; i++) total[i] = softmaxRow(scores + i * width, g->rows, width);
  productRows(MR, scores, width, values, wide, g->rows, query, wide);
  for (int i = 0; i < MR; i++)
    for (int64_t d = 0; d < size; d++) g->out[(row + i) * g->out_stride + head * size + d] = query[i * wide + d] / total[i];
}

/* Per head: keys transposed and values copied once, then all scores of four query rows at a time: no L×L buffer. */
static void attention(const gsk_attention *g) {
  int64_t size = g->head_size, wide = gsk_up(size, GSK_LANES), width = gsk_up(g->rows, GSK_LANES);
  int64_t columns = g->heads * size;
  float *keys = g->scratch, *values = keys + wide * width, *scores = values + wide * width;
  float *query = scores + GSK_QUERY_ROWS * width;
  memset(g->scratch, 0, (size_t)(2 * wide * width) * sizeof(float));
  for (int64_t h = 0; h < g->heads; h++) {
    for (int64_t r = 0; r < g->rows; r++) {
      const float *k = g->qkv + r * g->stride + columns + h * size, *v = k + columns;
      for (int64_t d = 0; d < size; d++) keys[d * width + r] = k[d];
      memcpy(values + r * wide, v, (size_t)size * sizeof(float));
    }
    int64_t r = 0;
    for (; r + GSK_QUERY_ROWS <= g->rows; r += GSK_QUERY_ROWS) attendRows(GSK_QUERY_ROWS, g, r, h, keys, values, scores, query);
    for (; r < g->rows; r++) attendRows(1, g, r, h, keys, values, scores, query);
  }
}
