/* Attention of one text, head by head; see kernels_body.h. A lane is a query: scores, weights and results stand
 * transposed, and every reduction goes from vector to vector.
 *
 *   queries  a group of ATTEND_VECS vectors ─transposed─▶ [size][group]
 *   keys     64 at a time: scores [64][group] ─▶ weights 2^(score − largest) [64][group] ─▶ results [size][group],
 *            of earlier blocks less as the largest score grows: nothing but keys and values is as long as the text
 *   results  ─times the inverse of the sum of weights, transposed─▶ rows
 *
 * of floats (exact): as they are.
 * of codes (exact, where the products before are of codes): codes of 16 bits, two to a lane's int32, and a block's sums
 *   are exact. A query has its own scale, the keys have one, values one a column, a query's weights one a block, so that
 *   the many small ones beside a large one do not vanish in a long text. Values take all 16 bits, weights what their sum
 *   leaves of int32. Short texts and heads of large scores are of floats here, too.
 * of fast: the same, but every block's largest weight has the same code and values take the rest; 2^x is cheaper, too.
 */
#define LEAST 1e-34f         /* scale of values */
#define LEAST_SQUARED 1e-19f /* scale of queries and keys, whose squares are added up */
enum {
  KEYS = GSK_KEYS,
  CODE_MAX = 32767,
  /* of codes: the largest score, as an exponent of 2; the standard deviation of its error is 1e-5 of that. 99 of 100 heads
   * of MiniLM stay below 64, few of random weights do. */
  SCORE_MAX = 96,
  /* of codes: sum of a block's codes of weights, of which each may be rounded up; times CODE_MAX it stays in int32 */
  WEIGHTS_SUM = 65536 - 2 * KEYS,
  /* of fast: codes of weights and values; 64 products of 2^14·(1 + the error of exp2Codes) and VALUE_MAX stay in int32 */
  WEIGHT_BITS = 14,
  VALUE_MAX = 2047,
};
_Static_assert(ATTEND_CODES_VECS <= ATTEND_VECS && ATTEND_VECS <= STEP_VECS &&
                   2 * ATTEND_CODES_VECS <= STEP_VECS && ATTEND_VECS * LANES <= GSK_GROUP,
               "the elementary functions take no more vectors, and the scratch has no more room");

/* One head of a text, and where its parts lie. */
typedef struct head {
  const float *q, *k, *v;
  float *out;
  int64_t stride, out_stride, size, wide, rows; /* wide: size up to whole 16 */
  int fast;                                     /* of codes: weights by weighFast */
  float factor;                                 /* of scores, to exponents of 2 */
  /* 4 bytes a place: a float or two codes. keys and values [rows][wide], of codes keys [rows][wide/2] and values
   * [rows/2][wide]; scores and weights [KEYS][group], queries and results [size][group] */
  float *keys, *values, *queries, *scores, *results;
  float *value_scales; /* [wide]; of floats 1 */
} head;

/* What the queries of a group know of the blocks of keys behind them. */
typedef struct group_state {
  V factor[ATTEND_VECS]; /* of scores, to exponents of 2 */
  V most[ATTEND_VECS], total[ATTEND_VECS];
  int64_t next, end; /* rows of the next group that are still to be fetched */
  int64_t step;      /* how many of them with a tile of keys */
} group_state;

/* What is done once a head or a group is compiled once: copies took 0.4 MB of a binary. */
#define GSK_ONCE static __attribute__((noinline))

/* LANES numbers of which `count` are there, the others zeros. */
GSK_INLINE V loadUpTo(const float *p, int64_t count) {
  if (count >= LANES) return load(p);
  float lane[LANES] = {0};
  for (int64_t i = 0; i < count; i++) lane[i] = p[i];
  return load(lane);
}

GSK_INLINE void storeUpTo(float *p, int64_t count, V a) {
  if (count >= LANES) {
    store(p, a);
    return;
  }
  float lane[LANES];
  store(lane, a);
  memcpy(p, lane, (size_t)count * sizeof(float));
}

GSK_INLINE V magnitude(V a) { return maxV(a, sub(set1(0.0f), a)); }

/* 1/scale, and 0 for a scale below `least`: its inverse, or the squares of what it scales, leave float32. */
GSK_INLINE V inverseOf(V scale, float least) {
  return selectV(sub(set1(least), scale), divV(set1(1.0f), scale), set1(0.0f));
}

/* What a code of a query, or of keys, stands for: no code leaves 16 bits, and by Cauchy and Schwarz no part of a sum of
 * products of two leaves int32. Where squares overflow, the largest magnitude bounds them. */
GSK_INLINE V scaleOf(const head *h, V top, V squares) {
  V norm = minV(sqrtV(squares), mul(top, set1(__builtin_sqrtf((float)h->size))));
  return maxV(mul(norm, set1(1.0f / gsk_words_norm(h->size))), mul(top, set1(1.0f / CODE_MAX)));
}

GSK_INLINE void noSums(const int VECS, V acc[][ATTEND_VECS]) {
  GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      acc[i][j] = set1(0.0f);
}

/* acc[i][j] += a[i·row + t·step]·b[t][j], ATTEND_ROWS rows, t upwards: scores and results. */
GSK_INLINE void multiplyFloats(const int VECS, const float *a, int64_t row, int64_t step,
                               const float *b, int64_t n, V acc[][ATTEND_VECS]) {
  for (int64_t t = 0; t < n; t++, a += step, b += VECS * LANES) {
    V v[ATTEND_VECS];
    GSK_UNROLL for (int j = 0; j < VECS; j++) v[j] = load(b + j * LANES);
    GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) {
      V x = set1(a[i * row]);
      GSK_UNROLL for (int j = 0; j < VECS; j++) acc[i][j] = fmaV(x, v[j], acc[i][j]);
    }
  }
}

/* The same of codes, in pairs, from 0. */
GSK_INLINE void multiplyCodes(const int VECS, const float *a, int64_t row, int64_t step,
                              const float *b, int64_t n, V out[][ATTEND_VECS]) {
  VI acc[ATTEND_ROWS][ATTEND_VECS];
  GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      acc[i][j] = zeroI();
  for (int64_t t = 0; t < n; t++, a += step, b += VECS * LANES) {
    VW v[ATTEND_VECS];
    GSK_UNROLL for (int j = 0; j < VECS; j++) memcpy(&v[j], b + j * LANES, sizeof(VW));
    GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) {
      VI x = pair(a + i * row);
      GSK_UNROLL for (int j = 0; j < VECS; j++) acc[i][j] = dot(acc[i][j], x, v[j]);
    }
  }
  GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      out[i][j] = toFloat(acc[i][j]);
}

/* Tiles of keys are whole: zeros behind the last. `row` floats to a key. */
GSK_INLINE void endKeys(const head *h, int64_t row) {
  for (int64_t r = h->rows; r % ATTEND_ROWS; r++)
    memset(h->keys + r * row, 0, (size_t)row * sizeof(float));
}

/* Rows of keys and values lie a page apart, where no processor fetches ahead by itself. */
GSK_INLINE void fetchAhead(const float *row, int64_t stride) {
  __builtin_prefetch(row + 8 * stride);
}

/* A row of queries and of their results, a page from the one before, too: for when its group comes. */
GSK_INLINE void fetchQuery(const head *h, int64_t row) {
  for (int64_t d = 0; d < h->size; d += GSK_ALIGN / (int64_t)sizeof(float)) {
    __builtin_prefetch(h->q + row * h->stride + d);
    __builtin_prefetch(h->out + row * h->out_stride + d);
  }
}

/* Those of the next group tile by tile: all at once would wait for one another. */
GSK_INLINE void fetchQueries(const head *h, group_state *s) {
  for (int64_t i = 0; i < s->step && s->next < s->end; i++) fetchQuery(h, s->next++);
}

/* Keys and values as they are, line after line. */
GSK_ONCE void packFloats(const head *h) {
  for (int64_t r = 0; r < h->rows; r++) {
    if (r < GSK_GROUP) fetchQuery(h, r);
    for (int64_t d = 0; d < h->wide; d += LANES) {
      const float *k = h->k + r * h->stride + d, *v = h->v + r * h->stride + d;
      fetchAhead(k, h->stride), fetchAhead(v, h->stride);
      store(h->keys + r * h->wide + d, loadUpTo(k, h->size - d));
      store(h->values + r * h->wide + d, loadUpTo(v, h->size - d));
    }
  }
  for (int64_t d = 0; d < h->wide; d++) h->value_scales[d] = 1.0f;
  endKeys(h, h->wide);
}

/* The largest magnitude of rows and the largest sum of squares of one. */
typedef struct row_range {
  float top, squares;
} row_range;

GSK_ONCE row_range rangeOfRows(const head *h, const float *x) {
  float copy[GSK_LANES] __attribute__((aligned(64)));
  V top = set1(0.0f);
  row_range range = {0.0f, 0.0f};
  for (int64_t r = 0; r < h->rows; r++, x += h->stride) {
    V sum[PARTS];
    GSK_UNROLL for (int v = 0; v < PARTS; v++) sum[v] = set1(0.0f);
    if (r < GSK_GROUP) fetchQuery(h, r);
    for (int64_t d = 0; d < h->size; d += GSK_LANES) {
      const float *lanes = tail(x, d, h->size, 0.0f, copy);
      fetchAhead(x + d, h->stride);
      GSK_UNROLL for (int v = 0; v < PARTS; v++) {
        V y = load(lanes + v * LANES);
        top = maxV(top, magnitude(y));
        sum[v] = fmaV(y, y, sum[v]);
      }
    }
    float squares = fold(sum);
    range.squares = squares > range.squares ? squares : range.squares;
  }
  range.top = maxLanes(top);
  return range;
}

/* Codes of keys; their scale. */
GSK_ONCE float packKeys(const head *h, row_range keys) {
  float copy[GSK_LANES] __attribute__((aligned(64))), scale[LANES], inverse[LANES];
  store(scale, scaleOf(h, set1(keys.top), set1(keys.squares)));
  store(inverse, inverseOf(load(scale), LEAST_SQUARED));
  for (int64_t r = 0; r < h->rows; r++)
    for (int64_t d = 0; d < h->size; d += GSK_LANES) {
      V codes[PARTS];
      roundLanes(tail(h->k + r * h->stride, d, h->size, 0.0f, copy), *inverse, set1(CODE_MAX),
                 codes);
      storeShorts((int16_t *)h->keys + r * h->wide + d, codes);
    }
  endKeys(h, h->wide / 2);
  return *scale;
}

/* The largest magnitudes of LANES columns of values. */
GSK_INLINE V largestValues(const head *h, int64_t d) {
  V high = set1(0.0f), low = high;
  const float *v = h->v + d;
  for (int64_t r = 0; r < h->rows; r++, v += h->stride) {
    V x = loadUpTo(v, h->size - d);
    fetchAhead(v, h->stride);
    high = maxV(high, x), low = minV(low, x);
  }
  return maxV(high, sub(set1(0.0f), low));
}

/* Codes of values up to `most`, those of two keys together. */
GSK_ONCE void packValues(const head *h, float most) {
  for (int64_t d = 0; d < h->wide; d += LANES) {
    const float *v = h->v + d;
    const int64_t left = h->size - d;
    V scale = mul(largestValues(h, d), set1(1.0f / most)), q = inverseOf(scale, LEAST);
    store(h->value_scales + d, scale);
    for (int64_t r = 0; r < h->rows; r += 2) {
      V even = loadUpTo(v + r * h->stride, left);
      V odd = r + 1 < h->rows ? loadUpTo(v + (r + 1) * h->stride, left) : set1(0.0f);
      storePairs(h->values + r / 2 * h->wide + d, mul(even, q), mul(odd, q));
    }
  }
}

/* LANES queries from `row` on, transposed to `to`, `group` floats from row to row; those that are not there are zeros. */
GSK_ONCE void transposeQueries(const head *h, int64_t row, float *to, int64_t group) {
  for (int64_t d = 0; d < h->size; d += LANES, to += LANES * group) {
    V block[LANES];
    GSK_UNROLL for (int i = 0; i < LANES; i++)
        block[i] = row + i < h->rows ? loadUpTo(h->q + (row + i) * h->stride + d, h->size - d)
                                     : set1(0.0f);
    transpose(block);
    GSK_UNROLL for (int i = 0; i < LANES; i++) store(to + i * group, block[i]);
  }
}

/* Transposed queries to codes, in place: a pair of rows becomes one. Returns the factor of their products. */
GSK_ONCE V packQueries(const head *h, float *queries, int64_t group) {
  V top = set1(0.0f), squares = top;
  for (int64_t d = 0; d < h->size; d++) {
    V x = load(queries + d * group);
    top = maxV(top, magnitude(x));
    squares = fmaV(x, x, squares);
  }
  V scale = scaleOf(h, top, squares), q = inverseOf(scale, LEAST_SQUARED);
  for (int64_t d = 0; d < h->size; d += 2) {
    V even = load(queries + d * group), odd = load(queries + (d + 1) * group);
    storePairs(queries + d / 2 * group, mul(even, q), mul(odd, q));
  }
  return minV(mul(scale, set1(h->factor)), set1(1e30f));
}

/* Scores of ATTEND_ROWS keys; the largest of the `count` that are there go to `most`. */
GSK_INLINE void scoreTile(const int CODES, const int VECS, const head *h, int64_t key, int64_t at,
                          int64_t count, V *most) {
  V acc[ATTEND_ROWS][ATTEND_VECS];
  const int64_t row = CODES ? h->wide / 2 : h->wide;
  const float *keys = h->keys + (key + at) * row;
  if (CODES) {
    multiplyCodes(VECS, keys, row, 1, h->queries, (h->size + 1) / 2, acc);
  } else {
    noSums(VECS, acc);
    multiplyFloats(VECS, keys, row, 1, h->queries, h->size, acc);
  }
  float *scores = h->scores + at * VECS * LANES;
  GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) GSK_UNROLL for (int j = 0; j < VECS; j++)
      store(scores + (i * VECS + j) * LANES, acc[i][j]);
  if (count > ATTEND_ROWS) count = ATTEND_ROWS;
  for (int64_t i = 0; i < count; i++)
    GSK_UNROLL for (int j = 0; j < VECS; j++)
        most[j] = maxV(most[j], load(scores + (i * VECS + j) * LANES));
}

/* 2^(d·factor + WEIGHT_BITS), d ≤ 0: the sum's fraction is rounded off by adding 1.5·2^23; a degree-3 polynomial on
 * the rest in [−½, ½] (max error 7.5e-5). */
GSK_INLINE void exp2Codes(const int n, V *d, const V *factor) {
  static const float c[] = {0.05517167f, 0.24261113f, 0.69326097f, 0.99992806f};
  const V rounding = set1(0x1.8p23f + WEIGHT_BITS);
  V t[STEP_VECS], p[STEP_VECS];
  EACH(n) t[i] = fmaV(d[i], factor[i], rounding);
  EACH(n) d[i] = fmaV(d[i], factor[i], sub(rounding, t[i]));
  polynomial(n, d, c, 4, p);
  EACH(n) d[i] = scale2(p[i], t[i]);
}

/* Scores of n keys to weights 2^((score − top)·factor), in place, where there are two at a time a 0 behind an odd n; their
 * sum. */
GSK_INLINE void weigh(const int VECS, float *scores, int64_t n, const V *top, const V *factor,
                      V *sum) {
  const int KEYS_AT_ONCE = 2 * VECS <= STEP_VECS ? 2 : 1, AT_ONCE = KEYS_AT_ONCE * VECS;
  for (int64_t k = 0; k < n; k += KEYS_AT_ONCE, scores += AT_ONCE * LANES) {
    V e[STEP_VECS];
    EACH(AT_ONCE) e[i] = mul(sub(load(scores + i * LANES), top[i % VECS]), factor[i % VECS]);
    EACH(AT_ONCE) e[i] = maxV(e[i], set1(-125.0f));
    exp2V(AT_ONCE, e);
    if (KEYS_AT_ONCE == 2 && k + 1 == n) EACH(VECS) e[VECS + i] = set1(0.0f);
    EACH(AT_ONCE) sum[i % VECS] = add(sum[i % VECS], e[i]);
    EACH(AT_ONCE) store(scores + i * LANES, e[i]);
  }
}

/* Weights of n keys to codes, in place, those of two keys together; what a code is of a weight. */
GSK_INLINE void packWeights(const int VECS, float *scores, int64_t n, const V *sum, V *scale) {
  V q[ATTEND_VECS];
  EACH(VECS) q[i] = roundV(minV(divV(set1(WEIGHTS_SUM), sum[i]), set1(CODE_MAX)));
  EACH(VECS) scale[i] = divV(set1(1.0f), q[i]);
  float *codes = scores;
  for (int64_t k = 0; k < n; k += 2, scores += 2 * VECS * LANES, codes += VECS * LANES) EACH(VECS)
  storePairs(codes + i * LANES, mul(load(scores + i * LANES), q[i]),
             mul(load(scores + (VECS + i) * LANES), q[i]));
}

/* of fast: both in one. Weights are 2^WEIGHT_BITS beside the largest. */
GSK_INLINE void weighFast(const int VECS, float *scores, int64_t n, const V *top, const V *factor,
                          V *sum) {
  V low[ATTEND_VECS], f[2 * ATTEND_VECS];
  EACH(VECS) low[i] = divV(set1(-24.0f), factor[i]); /* far below half a code */
  EACH(2 * VECS) f[i] = factor[i % VECS];
  for (int64_t k = 0; k < n; k += 2) {
    V e[2 * ATTEND_VECS];
    EACH(2 * VECS)
    e[i] = maxV(sub(load(scores + (k * VECS + i) * LANES), top[i % VECS]), low[i % VECS]);
    exp2Codes(2 * VECS, e, f);
    if (k + 1 == n) EACH(VECS) e[VECS + i] = set1(0.0f);
    EACH(2 * VECS) sum[i % VECS] = add(sum[i % VECS], e[i]);
    EACH(VECS) storePairs(scores + (k / 2 * VECS + i) * LANES, e[i], e[VECS + i]);
  }
}

/* Results of columns [d, d + ATTEND_ROWS) from n keys' weights, times `own`, and of the keys before them, times `before`. */
GSK_INLINE void valueTile(const int CODES, const int VECS, const head *h, int64_t d, int64_t key,
                          int64_t n, const V *before, const V *own) {
  V acc[ATTEND_ROWS][ATTEND_VECS];
  float *results = h->results + d * VECS * LANES;
  if (CODES) {
    multiplyCodes(VECS, h->values + key / 2 * h->wide + d, 1, h->wide, h->scores, (n + 1) / 2, acc);
  } else {
    noSums(VECS, acc);
    multiplyFloats(VECS, h->values + key * h->wide + d, 1, h->wide, h->scores, n, acc);
  }
  GSK_UNROLL for (int i = 0; i < ATTEND_ROWS; i++) GSK_UNROLL for (int j = 0; j < VECS; j++) {
    V old = key ? load(results + (i * VECS + j) * LANES) : set1(0.0f);
    store(results + (i * VECS + j) * LANES, fmaV(acc[i][j], own[j], mul(old, before[j])));
  }
}

/* 2^((a − b)·factor), a ≤ b. */
GSK_INLINE void fraction(const int VECS, const V *a, const V *b, const V *factor, V *out) {
  EACH(VECS) out[i] = maxV(mul(sub(a[i], b[i]), factor[i]), set1(-125.0f));
  exp2V(VECS, out);
}

GSK_INLINE void attendBlock(const int CODES, const int VECS, const head *h, int64_t key,
                            group_state *s) {
  V top[ATTEND_VECS], next[ATTEND_VECS], sum[ATTEND_VECS], before[ATTEND_VECS], own[ATTEND_VECS];
  int64_t n = h->rows - key < KEYS ? h->rows - key : KEYS;
  EACH(VECS) top[i] = set1(-3.0e38f), sum[i] = set1(0.0f);
  for (int64_t at = 0; at < n; at += ATTEND_ROWS) {
    fetchQueries(h, s);
    scoreTile(CODES, VECS, h, key, at, n - at, top);
  }
  EACH(VECS) next[i] = maxV(s->most[i], top[i]);
  fraction(VECS, s->most, next, s->factor, before);
  fraction(VECS, top, next, s->factor, own);
  if (CODES && h->fast) weighFast(VECS, h->scores, n, top, s->factor, sum);
  else weigh(VECS, h->scores, n, top, s->factor, sum);
  EACH(VECS) s->total[i] = fmaV(s->total[i], before[i], mul(sum[i], own[i])), s->most[i] = next[i];
  if (CODES && !h->fast) {
    V scale[ATTEND_VECS];
    packWeights(VECS, h->scores, n, sum, scale);
    EACH(VECS) own[i] = mul(own[i], scale[i]);
  }
  for (int64_t d = 0; d < h->size; d += ATTEND_ROWS)
    valueTile(CODES, VECS, h, d, key, n, before, own);
}

/* Results of LANES queries from `row` on, divided by their sums of weights, row by row; `group` as above. */
GSK_ONCE void finishQueries(const head *h, int64_t row, const float *results, int64_t group,
                            const V *total) {
  V inverse = divV(set1(1.0f), *total);
  for (int64_t d = 0; d < h->size; d += LANES, results += LANES * group) {
    V block[LANES];
    GSK_UNROLL for (int i = 0; i < LANES; i++)
        block[i] = mul(load(results + i * group), mul(inverse, set1(h->value_scales[d + i])));
    transpose(block);
    for (int i = 0; i < LANES; i++)
      if (row + i < h->rows)
        storeUpTo(h->out + (row + i) * h->out_stride + d, h->size - d, block[i]);
  }
}

/* Queries [row, row + VECS·LANES). */
GSK_INLINE void attendGroup(const int CODES, const int VECS, const head *h, int64_t row) {
  const int64_t group = VECS * LANES;
  group_state s;
  s.next = row + group;
  s.end = s.next + group < h->rows ? s.next + group : h->rows;
  s.step = (group * ATTEND_ROWS + h->rows - 1) / h->rows;
  for (int j = 0; j < VECS; j++) {
    float *queries = h->queries + j * LANES;
    transposeQueries(h, row + j * LANES, queries, group);
    s.factor[j] = set1(h->factor);
    if (CODES) s.factor[j] = packQueries(h, queries, group);
    s.most[j] = set1(-3.0e38f), s.total[j] = set1(0.0f);
  }
  for (int64_t key = 0; key < h->rows; key += KEYS) attendBlock(CODES, VECS, h, key, &s);
  for (int j = 0; j < VECS; j++)
    finishQueries(h, row + j * LANES, h->results + j * LANES, group, &s.total[j]);
}

GSK_INLINE void attendHead(const int CODES, const int VECS, head *h) {
  int64_t r = 0;
  for (; r + (VECS - 1) * LANES < h->rows; r += VECS * LANES) attendGroup(CODES, VECS, h, r);
  if (VECS > 2 && r + LANES < h->rows) attendGroup(CODES, 2, h, r), r += 2 * LANES;
  if (r < h->rows) attendGroup(CODES, 1, h, r);
}

GSK_ONCE void headOfFloats(head *h) {
  packFloats(h);
  attendHead(0, ATTEND_VECS, h);
}

GSK_ONCE void headOfCodes(head *h, row_range keys) {
  h->factor *= packKeys(h, keys);
  packValues(h, h->fast ? VALUE_MAX : CODE_MAX);
  attendHead(1, ATTEND_CODES_VECS, h);
}

/* The largest exponent of 2 that a score may have. */
GSK_INLINE float largestScore(const head *h, row_range keys) {
  row_range queries = rangeOfRows(h, h->q);
  return __builtin_sqrtf(queries.squares) * __builtin_sqrtf(keys.squares) * h->factor;
}

/* One block of keys gains nothing by codes, and where scores may be large the errors of theirs matter: the text's own
 * numbers decide. */
GSK_INLINE void headOfExact(head *h) {
  if (h->rows > KEYS) {
    row_range keys = rangeOfRows(h, h->k);
    if (largestScore(h, keys) < SCORE_MAX) {
      headOfCodes(h, keys);
      return;
    }
  }
  headOfFloats(h);
}

GSK_INLINE void headOfFast(head *h) {
  h->fast = 1;
  headOfCodes(h, rangeOfRows(h, h->k));
}

GSK_INLINE void attend(void attend_head(head *), const gsk_attention *g, int64_t h0, int64_t h1) {
  int64_t size = g->head_size, columns = g->heads * size, l = gsk_up(g->rows, GSK_LANES);
  head h = {.stride = g->stride, .size = size, .wide = gsk_up(size, GSK_LANES), .rows = g->rows};
  h.keys = g->scratch, h.values = h.keys + l * h.wide, h.queries = h.values + l * h.wide;
  h.results = h.queries + h.wide * GSK_GROUP, h.scores = h.results + h.wide * GSK_GROUP;
  h.value_scales = h.scores + KEYS * GSK_GROUP;
  h.out_stride = g->out_stride;
  for (int64_t i = h0; i < h1; i++) {
    h.out = g->out + i * size;
    h.q = g->qkv + i * size, h.k = h.q + columns, h.v = h.k + columns;
    h.factor = g->scale * 1.44269504f; /* exp(x) = 2^(x·log2 e) */
    attend_head(&h);
  }
}

static void attendFloats(const gsk_attention *g, int64_t h0, int64_t h1) {
  attend(headOfFloats, g, h0, h1);
}

static void attendCodes(const gsk_attention *g, int64_t h0, int64_t h1) {
  attend(headOfExact, g, h0, h1);
}

static void attendFast(const gsk_attention *g, int64_t h0, int64_t h1) {
  attend(headOfFast, g, h0, h1);
}
