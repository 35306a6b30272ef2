/* Steps over one row: activations to codes, norm, activation, rotation, mean; see kernels_body.h. */
/* 16 values times q to integers of at most `most`. */
GSK_INLINE void roundLanes(const float *x, float q, V most, V *codes) {
  GSK_UNROLL for (int v = 0; v < PARTS; v++)
      codes[v] = minV(roundV(mul(load(x + v * LANES), set1(q))), most);
}

/* The sum of 16 codes: below 2^24, and so exact in any order. */
GSK_INLINE int32_t sumCodes(const V *codes) {
  V sum = codes[0];
  GSK_UNROLL for (int v = 1; v < PARTS; v++) sum = add(sum, codes[v]);
  return (int32_t)sumLanes(sum);
}

/* 16 codes from k `at` of a row on: int16, or for units of 4 high and low bytes. */
GSK_INLINE void storeCodes(void *row, int64_t at, const V *codes) {
#if EXACT_UNIT == 4
  uint8_t *high = (uint8_t *)row + highByteAt(at);
  storeHighBytes(high, codes);
  storeBytes(high + GSK_BLOCK, codes);
#else
  storeShorts((int16_t *)row + at, codes);
#endif
}

/* The largest |x| of a row of blocks. */
GSK_INLINE float topOf(const float *x, int64_t k) {
  const V zero = set1(0.0f);
  V even = zero, odd = zero; /* of vectors: one chain would wait for itself */
  for (int64_t i = 0; i < k; i += 2 * LANES) {
    V a = load(x + i), b = load(x + i + LANES);
    even = maxV(even, maxV(a, sub(zero, a)));
    odd = maxV(odd, maxV(b, sub(zero, b)));
  }
  return maxLanes(maxV(even, odd));
}

#ifndef Q8_TILES
#define prepareQ8(x, q, blocks, row, zeros) ((void)(zeros)) /* no form has unsigned codes */
#endif
static void prepareExact(const gsk_form *f, const float *x, int64_t k, void *row, float *scale,
                         int32_t *zeros, int32_t *sums) {
  float top = topOf(x, k);
  /* rows too small to divide by become zero: their reciprocal would be infinite */
  float q = top > 1e-30f ? GSK_ACTIVATION_MAX / top : 0.0f;
  *scale = top / GSK_ACTIVATION_MAX;
  if (f->zero) {
    prepareQ8(x, q, k / GSK_BLOCK, row, zeros);
    return;
  }
#if SPLITS
  if (!sums) {
    for (int64_t i = 0; i < k; i += GSK_BLOCK)
      storeSplit((uint8_t *)row + highByteAt(i), x + i, set1(q), set1(GSK_ACTIVATION_MAX), 0);
    return;
  }
#endif
  for (int64_t i = 0; i < k; i += GSK_LANES) {
    V codes[PARTS];
    roundLanes(x + i, q, set1(GSK_ACTIVATION_MAX), codes);
    if (sums) sums[i / GSK_LANES] = sumCodes(codes);
    storeCodes(row, i, codes);
  }
}

/* What prepareFast finds out of LANES blocks. */
typedef struct block_ranges {
  float q[LANES], below[LANES], scale[LANES];
} block_ranges;

/* A block of rows, and how to come to the next. */
typedef struct block_place {
  const float *x;
  uint8_t *codes;
  int64_t at, k, rest, codes_rest; /* k of the block; from the end of a row to the next */
} block_place;

/* CODE: bytes of a code. */
GSK_INLINE void nextBlock(const int BLOCK, const int CODE, block_place *b) {
  b->x += BLOCK, b->codes += CODE * BLOCK, b->at += BLOCK;
  if (b->at == b->k) b->at = 0, b->x += b->rest, b->codes += b->codes_rest;
}

/* Blocks side by side, `there` of them: a block alone is a chain of two reductions and two divisions. */
GSK_INLINE void rangesOf(block_place from, const int BLOCK, int there, block_ranges *r) {
  const V zero = set1(0.0f);
  V high[LANES], under[LANES];
  for (int b = 0; b < opaque(there); b++, nextBlock(BLOCK, 0, &from)) {
    V most = zero, least = zero;
    GSK_UNROLL for (int j = 0; j < BLOCK; j += LANES) {
      V y = load(from.x + j);
      most = maxV(most, y);
      least = minV(least, y);
    }
    high[b] = most;
    under[b] = sub(zero, least);
  }
  for (int b = there; b < LANES; b++) high[b] = under[b] = zero;
  V low = sub(zero, maxRows(under)), range = sub(maxRows(high), low);
  V q = selectV(sub(set1(1e-30f), range), divV(set1(255.0f), range), zero);
  store(r->q, q);
  store(r->below, roundV(mul(low, q)));
  store(r->scale, divV(range, set1(255.0f)));
}

/* A block's codes less their zero, which must not exceed 255 − zero: sums of 16, and with words the codes. */
GSK_INLINE void lessZero(const int BLOCK, const float *x, float q, float below, int16_t *words,
                         int32_t *sums) {
  for (int h = 0; h < BLOCK; h += GSK_LANES) {
    V y[PARTS];
    roundLanes(x + h, q, set1(255.0f + below), y);
    if (words) storeShorts(words + h, y);
    if (sums) sums[h / GSK_LANES] = sumCodes(y);
  }
}

/* A block's codes as bytes, and sums of 16 less their zero; the result is the block's of gsk_rows.zeros. */
#if NIBBLES
GSK_INLINE int32_t aboveZero(const int BLOCK, const float *x, float q, float below, uint8_t *codes,
                             int32_t *sums) {
  const int32_t less = (int32_t)below;
  int32_t own[GSK_BLOCK / GSK_LANES];
  storeAbove(codes, x, set1(q), BLOCK, below);
  signBytes(codes, own);
  own[0] += GSK_LANES * less, own[1] += GSK_LANES * less;
  if (sums) memcpy(sums, own, sizeof own);
  return (int32_t)((uint32_t)(own[0] + own[1]) << 16 | ((uint32_t)(128 + less) & 0xffff));
}
#elif FAST_UNIT == 4
GSK_INLINE int32_t aboveZero(const int BLOCK, const float *x, float q, float below, uint8_t *codes,
                             int32_t *sums) {
  storeAbove(codes, x, set1(q), BLOCK, below);
  if (sums) lessZero(BLOCK, x, q, below, NULL, sums);
  return (int32_t)below & 0xffff;
}
#else /* no activations are bytes */
#define aboveZero(BLOCK, x, q, below, codes, sums) 0
#endif

/* Blocks are counted over all rows: those of one need not fill LANES. (Loops over them are not unrolled: addresses of all
 * would be computed first, and spilled.) */
GSK_INLINE void prepareBlocks(const int BLOCK, const int UNIT, const float *x, int64_t stride,
                              int64_t rows, int64_t k, uint8_t *codes, float *scales,
                              int32_t *zeros, int32_t *sums) {
  const int64_t blocks = rows * (k / BLOCK);
  const int CODE = UNIT == 2 ? 2 : 1;
  block_place place = {.x = x,
                       .codes = codes,
                       .k = k,
                       .rest = stride - k,
                       .codes_rest = gsk_codes_stride(k) - CODE * k};
  for (int64_t block = 0; block < blocks; block += LANES) {
    const int there = blocks - block < LANES ? (int)(blocks - block) : LANES;
    block_ranges r;
    rangesOf(place, BLOCK, there, &r);
    for (int b = 0; b < opaque(there); b++, nextBlock(BLOCK, CODE, &place)) {
      int32_t *own = sums ? sums + (block + b) * BLOCK / GSK_LANES : NULL;
      scales[block + b] = r.scale[b];
      if (UNIT == 2) lessZero(BLOCK, place.x, r.q[b], r.below[b], (int16_t *)place.codes, own);
      else zeros[block + b] = aboveZero(BLOCK, place.x, r.q[b], r.below[b], place.codes, own);
    }
  }
}

static void prepareFast(const gsk_form *f, const float *x, int64_t stride, int64_t rows, int64_t k,
                        uint8_t *codes, float *scales, int32_t *zeros, int32_t *sums) {
  if (gsk_activation_block(f) == GSK_JOINED)
    prepareBlocks(GSK_JOINED, FAST_UNIT, x, stride, rows, k, codes, scales, zeros, sums);
  else if (NIBBLES && f->unit == 4)
    prepareBlocks(GSK_BLOCK, 4, x, stride, rows, k, codes, scales, zeros, sums);
  else prepareBlocks(GSK_BLOCK, FAST_UNIT, x, stride, rows, k, codes, scales, zeros, sums);
}

static void prepareWords(const float *x, int64_t k, int16_t *row, float *scale) {
  float end[GSK_LANES] __attribute__((aligned(64)));
  tail(x, k / GSK_LANES * GSK_LANES, k, 0.0f, end);
/* 16 numbers of the row, behind its end zeros */
#define WORDS_AT(i) ((i) + GSK_LANES <= k ? x + (i) : end)
  V most[PARTS], squares[PARTS];
  for (int v = 0; v < PARTS; v++) most[v] = squares[v] = set1(0.0f);
  for (int64_t i = 0; i < k; i += GSK_LANES)
    for (int v = 0; v < PARTS; v++) {
      V y = load(WORDS_AT(i) + v * LANES);
      most[v] = maxV(most[v], maxV(y, sub(set1(0.0f), y)));
    }
  /* rows too small to divide by become zero, as in prepareExact */
  float top = foldMax(most), q = top > 1e-30f ? GSK_ACTIVATION_MAX / top : 0.0f;
  for (int64_t i = 0; i < k; i += GSK_LANES) /* squares of the codes: those of x might overflow */
    for (int v = 0; v < PARTS; v++) {
      V y = mul(load(WORDS_AT(i) + v * LANES), set1(q));
      squares[v] = fmaV(y, y, squares[v]);
    }
  float less = gsk_words_norm(k) / __builtin_sqrtf(fold(squares));
  *scale = top / GSK_ACTIVATION_MAX;
  if (less < 1.0f) q *= less, *scale /= less;
  for (int64_t i = 0; i < k; i += GSK_LANES) {
    V codes[PARTS];
    roundLanes(WORDS_AT(i), q, set1(GSK_ACTIVATION_MAX), codes);
    storeShorts(row + i, codes);
  }
#undef WORDS_AT
}

/* Rows side by side, where no columns are left behind the last 16: the sums of one are chains of additions, each of which
 * waits for the one before. */
enum { NORM_ROWS = 4 };

typedef struct norm_sums {
  V sum[NORM_ROWS][PARTS], squares[NORM_ROWS][PARTS];
  float mean[NORM_ROWS], scale[NORM_ROWS];
} norm_sums;

#define EACH_ROW GSK_UNROLL for (int r = 0; r < ROWS; r++)
/* 16 columns from k on, or up to `end`: y = x + add */
GSK_INLINE void sumColumns(const gsk_norm *g, const int ROWS, int64_t k, int64_t end,
                           norm_sums *s) {
  float copy[2][GSK_LANES] __attribute__((aligned(64)));
  EACH_ROW {
    const float *x = tail(g->x + r * g->x_stride, k, end, 0.0f, copy[0]), *a = NULL;
    if (g->add) a = tail(g->add + r * g->add_stride, k, end, 0.0f, copy[1]);
    V y[PARTS];
    EACH(PARTS) {
      y[i] = load(x + i * LANES);
      if (a) y[i] = add(y[i], load(a + i * LANES));
      s->sum[r][i] = add(s->sum[r][i], y[i]);
    }
    storeTail(g->out + r * g->out_stride, k, end, y);
  }
}

GSK_INLINE void squareColumns(const gsk_norm *g, const int ROWS, int64_t k, int64_t end,
                              norm_sums *s) {
  float copy[GSK_LANES] __attribute__((aligned(64)));
  EACH_ROW {
    const float *y = tail(g->out + r * g->out_stride, k, end, s->mean[r], copy);
    EACH(PARTS) {
      V d = sub(load(y + i * LANES), set1(s->mean[r]));
      s->squares[r][i] = fmaV(d, d, s->squares[r][i]);
    }
  }
}

GSK_INLINE void scaleColumns(const gsk_norm *g, const int ROWS, int64_t k, int64_t end,
                             norm_sums *s) {
  float copy[3][GSK_LANES] __attribute__((aligned(64)));
  const float *w = tail(g->weight, k, end, 0.0f, copy[0]);
  const float *b = tail(g->bias, k, end, 0.0f, copy[1]);
  EACH_ROW {
    const float *x = tail(g->out + r * g->out_stride, k, end, s->mean[r], copy[2]);
    V y[PARTS];
    EACH(PARTS)
    y[i] = fmaV(mul(sub(load(x + i * LANES), set1(s->mean[r])), set1(s->scale[r])),
                load(w + i * LANES), load(b + i * LANES));
    storeTail(g->out + r * g->out_stride, k, end, y);
  }
}

/* The compiler sees that 16 columns need no copy. */
#define EACH_COLUMNS(STEP)                                                                \
  for (k = 0; k + GSK_LANES <= g->n; k += GSK_LANES) STEP(g, ROWS, k, k + GSK_LANES, &s); \
  if (ROWS == 1 && k < g->n) STEP(g, ROWS, k, g->n, &s);

GSK_INLINE void normRows(const gsk_norm *g, const int ROWS) {
  norm_sums s;
  int64_t k;
  EACH_ROW EACH(PARTS) s.sum[r][i] = s.squares[r][i] = set1(0.0f);
  EACH_COLUMNS(sumColumns)
  EACH_ROW s.mean[r] = fold(s.sum[r]) / (float)g->n;
  EACH_COLUMNS(squareColumns)
  EACH_ROW s.scale[r] = 1.0f / __builtin_sqrtf(fold(s.squares[r]) / (float)g->n + g->epsilon);
  EACH_COLUMNS(scaleColumns)
}

static void norm(const gsk_norm *args) {
  gsk_norm g = *args;
  for (int64_t row = 0, rows; row < args->rows; row += rows) {
    rows = args->rows - row < NORM_ROWS || g.n % GSK_LANES ? 1 : NORM_ROWS;
    if (rows > 1) normRows(&g, NORM_ROWS);
    else normRows(&g, 1);
    g.x += rows * g.x_stride;
    g.out += rows * g.out_stride;
    if (g.add) g.add += rows * g.add_stride;
  }
}

/* n vectors of x, and of u, which they are multiplied with where there is a gate */
GSK_INLINE void activateVectors(const int FAST, const int KIND, const int n, const float *x,
                                const float *u, float *out) {
  V y[STEP_VECS];
  EACH(n) y[i] = load(x + i * LANES);
  if (KIND == GSK_GATED_SILU) siluV(n, y);
  else if (FAST) geluFastV(n, y);
  else geluV(n, y);
  EACH(n) store(out + i * LANES, KIND == GSK_GELU ? y[i] : mul(y[i], load(u + i * LANES)));
}

GSK_INLINE void activateAs(const int FAST, const int KIND, const float *in, float *out, int64_t n) {
  float copy[2][GSK_LANES] __attribute__((aligned(64))), last[GSK_LANES];
  const float *up = KIND == GSK_GELU ? in : in + n;
  int64_t i = 0;
  for (; i + STEP_VECS * LANES <= n; i += STEP_VECS * LANES)
    activateVectors(FAST, KIND, STEP_VECS, in + i, up + i, out + i);
  for (; i + GSK_LANES <= n; i += GSK_LANES)
    activateVectors(FAST, KIND, PARTS, in + i, up + i, out + i);
  if (i == n) return;
  activateVectors(FAST, KIND, PARTS, tail(in, i, n, 0.0f, copy[0]), tail(up, i, n, 0.0f, copy[1]),
                  last);
  memcpy(out + i, last, (size_t)(n - i) * sizeof(float));
}

static void activate(int kind, const float *in, float *out, int64_t n) {
  switch (kind) {
  case GSK_GELU: activateAs(0, GSK_GELU, in, out, n); return;
  case GSK_GATED_SILU: activateAs(0, GSK_GATED_SILU, in, out, n); return;
  case GSK_GATED_GELU: activateAs(0, GSK_GATED_GELU, in, out, n); return;
  }
}

static void activateFast(int kind, const float *in, float *out, int64_t n) {
  switch (kind) {
  case GSK_GELU: activateAs(1, GSK_GELU, in, out, n); return;
  case GSK_GATED_GELU: activateAs(1, GSK_GATED_GELU, in, out, n); return;
  default: activate(kind, in, out, n);
  }
}

static void rotate(float *row, const float *table, int64_t heads, int64_t size) {
  int64_t half = size / 2;
  for (int64_t h = 0; h < heads; h++, row += size)
    for (int64_t j = 0; j < half; j++) {
      float c = table[2 * j], s = table[2 * j + 1], x = row[j], y = row[j + half];
      float xs = x * s, ys = y * s; /* rounded, then fused: one stated order */
      row[j] = __builtin_fmaf(x, c, -ys);
      row[j + half] = __builtin_fmaf(y, c, xs);
    }
}

static void mean(const float *x, int64_t stride, int64_t rows, float *out, int64_t n) {
  for (int64_t j = 0; j < n; j++) out[j] = x[j];
  for (int64_t r = 1; r < rows; r++)
    for (int64_t j = 0; j < n; j++) out[j] += x[r * stride + j];
  for (int64_t j = 0; j < n; j++) out[j] /= (float)rows;
}
