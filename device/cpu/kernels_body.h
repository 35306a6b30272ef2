/* The kernels, written once over a set's inline operations. A set's file defines, before it includes this
 * file inside its target region:
 *
 *   LANES                lanes of a vector: 4, 8 or 16
 *   TILE_ROWS, TILE_VECS rows and vectors (of columns) of a tile of `linear`
 *   V, VI, VW            LANES float32, LANES int32, 2·LANES int16
 *   set1 load store add sub mul div fmaV(a,b,c)=a·b+c max min round   on V
 *   loadHalf loadBFloat  LANES numbers of 16 bits to V
 *   zeroI toFloat        VI; dot(acc, a, w): acc + pairs of int16 products; pair(p): two int16 everywhere
 *   loadCodes(p)         2·LANES int8 to VW
 *   loadNibbles(p, t, lo, hi)  2·LANES bytes: VW of the low and of the high nibbles through table t
 *   pow2(n)              2^n of integral n in −126…127
 *   selectV(m, a, b)      a where m < 0, else b, by lanes
 *   SET                  the name of the set, a C identifier
 */
#include <string.h>

#define GSK_INLINE static inline __attribute__((always_inline))
#ifndef GSK_UNROLL
#define GSK_UNROLL _Pragma("GCC unroll 16")
#endif
#define PARTS (GSK_LANES / LANES)

/* ---- numbers ------------------------------------------------------------------------------------------ */

/* 2^y: round to an integer and a degree-6 polynomial on [−½, ½]; below 2^−126 the result stays there. */
GSK_INLINE V exp2V(V y) {
  y = maxV(minV(y, set1(126.0f)), set1(-126.0f));
  V n = roundV(y), f = sub(y, n), p = set1(0.000154780044f);
  p = fmaV(p, f, set1(0.00134004317f));
  p = fmaV(p, f, set1(0.00961799458f));
  p = fmaV(p, f, set1(0.0555032722f));
  p = fmaV(p, f, set1(0.240226515f));
  p = fmaV(p, f, set1(0.693147207f));
  p = fmaV(p, f, set1(1.0f));
  return mul(p, pow2(n));
}

/* x·Φ(x), the exact GELU. Φ(−|x|) = 2^−(1+q(|x|)) with q a degree-10 polynomial on [0, 6], so that nothing
 * cancels for negative x (max error 4e-7). */
GSK_INLINE V geluV(V x) {
  V a = minV(maxV(x, sub(set1(0.0f), x)), set1(6.0f)), p = set1(1.23157711e-08f);
  p = fmaV(p, a, set1(-4.14629454e-07f));
  p = fmaV(p, a, set1(5.93795014e-06f));
  p = fmaV(p, a, set1(-4.52699041e-05f));
  p = fmaV(p, a, set1(0.000164232784f));
  p = fmaV(p, a, set1(0.000260750353f));
  p = fmaV(p, a, set1(-0.0073000401f));
  p = fmaV(p, a, set1(0.0527117274f));
  p = fmaV(p, a, set1(0.459117203f));
  p = fmaV(p, a, set1(1.15111938f));
  p = fmaV(p, a, set1(1.0f - 3.60598743e-07f));
  V t = exp2V(sub(set1(0.0f), p));
  return mul(x, selectV(x, t, sub(set1(1.0f), t)));
}

/* x/(1+e^−x) */
GSK_INLINE V siluV(V x) {
  V e = exp2V(mul(x, set1(-1.44269504f)));
  return divV(x, add(set1(1.0f), e));
}

/* The sum of 16 virtual lanes in one fixed order: lane i + lane i+8, then +4, +2, +1. */
GSK_INLINE float fold(const V *parts) {
  float lane[GSK_LANES] __attribute__((aligned(64)));
  for (int i = 0; i < PARTS; i++) store(lane + i * LANES, parts[i]);
  for (int width = GSK_LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) lane[i] += lane[i + width];
  return lane[0];
}

GSK_INLINE float foldMax(const V *parts) {
  float lane[GSK_LANES] __attribute__((aligned(64)));
  for (int i = 0; i < PARTS; i++) store(lane + i * LANES, parts[i]);
  float m = lane[0];
  for (int i = 1; i < GSK_LANES; i++) m = lane[i] > m ? lane[i] : m;
  return m;
}

/* Rows whose length is no multiple of 16 end in a copy of 16 floats, filled up with `fill`. */
GSK_INLINE const float *tail(const float *p, int64_t i, int64_t n, float fill, float *copy) {
  if (i + GSK_LANES <= n) return p + i;
  for (int j = 0; j < GSK_LANES; j++) copy[j] = i + j < n ? p[i + j] : fill;
  return copy;
}

GSK_INLINE void storeTail(float *p, int64_t i, int64_t n, const V *parts) {
  if (i + GSK_LANES <= n) {
    for (int v = 0; v < PARTS; v++) store(p + i + v * LANES, parts[v]);
    return;
  }
  float copy[GSK_LANES] __attribute__((aligned(64)));
  for (int v = 0; v < PARTS; v++) store(copy + v * LANES, parts[v]);
  memcpy(p + i, copy, (size_t)(n - i) * sizeof(float));
}

/* ---- linear ------------------------------------------------------------------------------------------- */

GSK_INLINE V loadScale(const uint8_t *p, int half, int column) {
  return half ? loadHalf((const uint16_t *)p + column) : load((const float *)p + column);
}

/* A column's result leaves the tile; the last panel may have fewer than 32 real columns. */
GSK_INLINE void storeColumns(float *out, int64_t column, int64_t n, V x) {
  if (column + LANES <= n) {
    store(out + column, x);
  } else if (column < n) {
    float copy[LANES] __attribute__((aligned(64)));
    store(copy, x);
    memcpy(out + column, copy, (size_t)(n - column) * sizeof(float));
  }
}

GSK_INLINE V loadBias(const float *bias, int64_t column, int64_t n) {
  if (!bias || column >= n) return set1(0.0f);
  if (column + LANES <= n) return load(bias + column);
  float copy[LANES] __attribute__((aligned(64))) = {0};
  memcpy(copy, bias + column, (size_t)(n - column) * sizeof(float));
  return load(copy);
}

/* One tile of a codes form: MR rows × TILE_VECS vectors of columns from `first` of panel p. */
GSK_INLINE void tileCodes(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                          const int MIN, const int HALF, const int FAST, int64_t row, int64_t p,
                          int first) {
  const gsk_matrix *w = g->w;
  const uint8_t *block = w->data + p * w->panel_bytes;
  const int codeBytes = GSK_PANEL * SUB * BITS / 8, numberBytes = GSK_PANEL * (HALF ? 2 : 4);
  const int64_t stride = g->a.stride;
  const char *a = (const char *)g->a.data + row * stride;
  V acc[TILE_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) acc[i][j] = set1(0.0f);
  for (int64_t b = 0; b < w->k / SUB; b++) {
    VI sum[TILE_ROWS][TILE_VECS];
    GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = zeroI();
    const uint8_t *codes = block + 2 * first;
    if (BITS == 8) {
      GSK_UNROLL for (int u = 0; u < SUB / 2; u++) {
        VW v[TILE_VECS];
        GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) v[j] = loadCodes(codes + u * 2 * GSK_PANEL + j * 2 * LANES);
        GSK_UNROLL for (int i = 0; i < MR; i++) {
          VI x = pair(a + i * stride + u * 4);
          GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dot(sum[i][j], x, v[j]);
        }
      }
    } else {
      GSK_UNROLL for (int u = 0; u < SUB / 4; u++) {
        VW lo[TILE_VECS], hi[TILE_VECS];
        GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
          loadNibbles(codes + u * 2 * GSK_PANEL + j * 2 * LANES, w->form.table, &lo[j], &hi[j]);
        GSK_UNROLL for (int i = 0; i < MR; i++) {
          VI x = pair(a + i * stride + u * 8), y = pair(a + i * stride + u * 8 + 4);
          GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dot(dot(sum[i][j], x, lo[j]), y, hi[j]);
        }
      }
    }
    a += SUB * 2;
    const uint8_t *scales = block + codeBytes, *mins = scales + numberBytes;
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      V s = loadScale(scales, HALF, first + j * LANES), m = s;
      if (MIN) m = loadScale(mins, HALF, first + j * LANES);
      GSK_UNROLL for (int i = 0; i < MR; i++) {
        V factor = s;
        float block_scale = FAST ? g->a.scales[(row + i) * g->a.scale_stride + b * SUB / GSK_BLOCK] : 1.0f;
        if (FAST) factor = mul(s, set1(block_scale));
        acc[i][j] = fmaV(toFloat(sum[i][j]), factor, acc[i][j]);
        if (MIN) {
          const int32_t *sums = g->a.sums + (row + i) * g->a.sum_stride + b * (SUB / 16);
          float total = (float)(SUB == 32 ? sums[0] + sums[1] : sums[0]);
          acc[i][j] = fmaV(set1(FAST ? total * block_scale : total), m, acc[i][j]);
        }
      }
    }
    block += codeBytes + numberBytes * (1 + MIN);
  }
  GSK_UNROLL for (int i = 0; i < MR; i++) {
    V s = set1(FAST ? 1.0f : g->a.scales[row + i]);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      int64_t column = p * GSK_PANEL + first + j * LANES;
      V out = fmaV(acc[i][j], s, loadBias(g->bias, column, w->n));
      storeColumns(g->out + (row + i) * g->out_stride, column, w->n, out);
    }
  }
}

/* One tile of a float form: acc = fmaV(a[k], w[k], acc), k upwards. */
GSK_INLINE void tileFloats(const gsk_linear *g, const int MR, const int STORAGE, int64_t row, int64_t p, int first) {
  const gsk_matrix *w = g->w;
  const uint8_t *panel = w->data + p * w->panel_bytes;
  const char *a = (const char *)g->a.data + row * g->a.stride;
  V acc[TILE_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) acc[i][j] = set1(0.0f);
  for (int64_t k = 0; k < w->k; k++) {
    V v[TILE_VECS];
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
      int64_t at = k * GSK_PANEL + first + j * LANES;
      v[j] = STORAGE == GSK_F32   ? load((const float *)panel + at)
             : STORAGE == GSK_F16 ? loadHalf((const uint16_t *)panel + at)
                                  : loadBFloat((const uint16_t *)panel + at);
    }
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      V x = set1(((const float *)(a + i * g->a.stride))[k]);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) acc[i][j] = fmaV(x, v[j], acc[i][j]);
    }
  }
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) {
    int64_t column = p * GSK_PANEL + first + j * LANES;
    storeColumns(g->out + (row + i) * g->out_stride, column, w->n, add(acc[i][j], loadBias(g->bias, column, w->n)));
  }
}

/* Rows × panels of one form: panels outside, so that a panel is read once a slab; every row count of a tile
 * is compiled, rows are never padded with work. */
#define GSK_EACH_TILE(TILE)                                                                        \
  for (int64_t p = p0; p < p1; p++)                                                                \
    for (int first = 0; first < GSK_PANEL; first += TILE_VECS * LANES)                             \
      for (int64_t r = r0; r < r1;) {                                                              \
        int64_t left = r1 - r;                                                                     \
        if (left >= TILE_ROWS) { TILE(TILE_ROWS); r += TILE_ROWS; }                                \
        else if (left >= 4 && TILE_ROWS > 4) { TILE(4); r += 4; }                                  \
        else if (left >= 2 && TILE_ROWS > 2) { TILE(2); r += 2; }                                  \
        else { TILE(1); r += 1; }                                                                  \
      }

#define GSK_CODES_FORM(NAME, BITS, SUB, MIN, HALF, FAST)                                           \
  static __attribute__((noinline)) void NAME(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) { \
    GSK_EACH_TILE(NAME##_TILE)                                                                     \
  }

#define C8_32_H_TILE(MR) tileCodes(g, MR, 8, 32, 0, 1, 0, r, p, first)
#define C8_32_HM_TILE(MR) tileCodes(g, MR, 8, 32, 1, 1, 0, r, p, first)
#define C8_32_FM_TILE(MR) tileCodes(g, MR, 8, 32, 1, 0, 0, r, p, first)
#define C8_16_F_TILE(MR) tileCodes(g, MR, 8, 16, 0, 0, 0, r, p, first)
#define C8_16_FM_TILE(MR) tileCodes(g, MR, 8, 16, 1, 0, 0, r, p, first)
#define C4_32_H_TILE(MR) tileCodes(g, MR, 4, 32, 0, 1, 0, r, p, first)
#define C4_32_HM_TILE(MR) tileCodes(g, MR, 4, 32, 1, 1, 0, r, p, first)
#define C4_32_F_TILE(MR) tileCodes(g, MR, 4, 32, 0, 0, 0, r, p, first)
#define C4_32_FM_TILE(MR) tileCodes(g, MR, 4, 32, 1, 0, 0, r, p, first)
#define D8_32_H_TILE(MR) tileCodes(g, MR, 8, 32, 0, 1, 1, r, p, first)
#define D8_32_HM_TILE(MR) tileCodes(g, MR, 8, 32, 1, 1, 1, r, p, first)
#define D8_32_FM_TILE(MR) tileCodes(g, MR, 8, 32, 1, 0, 1, r, p, first)
#define D8_16_F_TILE(MR) tileCodes(g, MR, 8, 16, 0, 0, 1, r, p, first)
#define D8_16_FM_TILE(MR) tileCodes(g, MR, 8, 16, 1, 0, 1, r, p, first)
#define D4_32_H_TILE(MR) tileCodes(g, MR, 4, 32, 0, 1, 1, r, p, first)
#define D4_32_HM_TILE(MR) tileCodes(g, MR, 4, 32, 1, 1, 1, r, p, first)
#define D4_32_F_TILE(MR) tileCodes(g, MR, 4, 32, 0, 0, 1, r, p, first)
#define D4_32_FM_TILE(MR) tileCodes(g, MR, 4, 32, 1, 0, 1, r, p, first)
#define F32_TILE(MR) tileFloats(g, MR, GSK_F32, r, p, first)
#define F16_TILE(MR) tileFloats(g, MR, GSK_F16, r, p, first)
#define BF16_TILE(MR) tileFloats(g, MR, GSK_BF16, r, p, first)

/* the table of forms: C exact, D fast; bits, sub-block, H halves or F floats, M mins */
#define GSK_FORMS(X)                                                                               \
  X(C8_32_H, 8, 32, 0, 1, 0) X(C8_32_HM, 8, 32, 1, 1, 0) X(C8_32_FM, 8, 32, 1, 0, 0)               \
  X(C8_16_F, 8, 16, 0, 0, 0) X(C8_16_FM, 8, 16, 1, 0, 0) X(C4_32_H, 4, 32, 0, 1, 0)                \
  X(C4_32_HM, 4, 32, 1, 1, 0) X(C4_32_F, 4, 32, 0, 0, 0) X(C4_32_FM, 4, 32, 1, 0, 0)               \
  X(D8_32_H, 8, 32, 0, 1, 1) X(D8_32_HM, 8, 32, 1, 1, 1) X(D8_32_FM, 8, 32, 1, 0, 1)               \
  X(D8_16_F, 8, 16, 0, 0, 1) X(D8_16_FM, 8, 16, 1, 0, 1) X(D4_32_H, 4, 32, 0, 1, 1)                \
  X(D4_32_HM, 4, 32, 1, 1, 1) X(D4_32_F, 4, 32, 0, 0, 1) X(D4_32_FM, 4, 32, 1, 0, 1)
GSK_FORMS(GSK_CODES_FORM)
GSK_CODES_FORM(F32, , , , , )
GSK_CODES_FORM(F16, , , , , )
GSK_CODES_FORM(BF16, , , , , )

static void linear(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
  const gsk_form *f = &g->w->form;
  switch (f->storage) {
  case GSK_F32: F32(g, r0, r1, p0, p1); return;
  case GSK_F16: F16(g, r0, r1, p0, p1); return;
  case GSK_BF16: BF16(g, r0, r1, p0, p1); return;
  }
  int bits = f->storage == GSK_CODES4 ? 4 : 8;
#define GSK_PICK(NAME, BITS, SUB, MIN, HALF, FAST)                                                 \
  if (bits == BITS && f->sub_block == SUB && f->has_min == MIN && f->half_scale == HALF && g->a.fast == FAST) { \
    NAME(g, r0, r1, p0, p1);                                                                       \
    return;                                                                                        \
  }
  GSK_FORMS(GSK_PICK)
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* Rounds k values times q to int16 codes of at most `most` and sums them by 16. k is a multiple of 16. */
GSK_INLINE void roundCodes(const float *x, int64_t k, float q, V most, int16_t *codes, int32_t *sums) {
  for (int64_t i = 0; i < k; i += GSK_LANES) {
    float lane[GSK_LANES] __attribute__((aligned(64)));
    for (int v = 0; v < PARTS; v++) store(lane + v * LANES, minV(roundV(mul(load(x + i + v * LANES), set1(q))), most));
    int32_t sum = 0;
    for (int j = 0; j < GSK_LANES; j++) {
      codes[i + j] = (int16_t)(int32_t)lane[j];
      sum += codes[i + j];
    }
    sums[i / GSK_LANES] = sum;
  }
}

static void prepareExact(const float *x, int64_t k, int16_t *codes, float *scale, int32_t *sums) {
  V m[PARTS];
  for (int v = 0; v < PARTS; v++) m[v] = set1(0.0f);
  for (int64_t i = 0; i < k; i += GSK_LANES)
    for (int v = 0; v < PARTS; v++) {
      V y = load(x + i + v * LANES);
      m[v] = maxV(m[v], maxV(y, sub(set1(0.0f), y)));
    }
  float largest = foldMax(m);
  /* rows too small to divide by become zero: their reciprocal would be infinite */
  float q = largest > 1e-30f ? GSK_ACTIVATION_MAX / largest : 0.0f;
  *scale = largest / GSK_ACTIVATION_MAX;
  roundCodes(x, k, q, set1(GSK_ACTIVATION_MAX), codes, sums);
}

static void prepareFast(const float *x, int64_t k, int16_t *codes, float *scales, int32_t *sums) {
  for (int64_t i = 0; i < k; i += GSK_BLOCK) {
    float lo = 0.0f, hi = 0.0f;
    for (int j = 0; j < GSK_BLOCK; j++) {
      lo = x[i + j] < lo ? x[i + j] : lo;
      hi = x[i + j] > hi ? x[i + j] : hi;
    }
    /* x ≈ scale·(a − zero) with bytes a = round(x·q) + zero and zero = round(−lo·q): the kernels take
     * a − zero = round(x·q), which must not exceed 255 − zero */
    float range = hi - lo, q = range > 1e-30f ? 255.0f / range : 0.0f;
    scales[i / GSK_BLOCK] = range / 255.0f;
    V most = add(set1(255.0f), roundV(set1(lo * q)));
    roundCodes(x + i, GSK_BLOCK, q, most, codes + i, sums + i / GSK_LANES);
  }
}

static void normRow(const float *x, const float *residual, const float *w, const float *b, float *out,
                 int64_t n, float epsilon) {
  float copy[4][GSK_LANES] __attribute__((aligned(64)));
  V sum[PARTS], squares[PARTS];
  for (int v = 0; v < PARTS; v++) sum[v] = squares[v] = set1(0.0f);
  for (int64_t i = 0; i < n; i += GSK_LANES) {
    const float *xs = tail(x, i, n, 0.0f, copy[0]);
    const float *rs = residual ? tail(residual, i, n, 0.0f, copy[1]) : NULL;
    V y[PARTS];
    for (int v = 0; v < PARTS; v++) {
      y[v] = load(xs + v * LANES);
      if (rs) y[v] = add(y[v], load(rs + v * LANES));
      sum[v] = add(sum[v], y[v]);
    }
    storeTail(out, i, n, y);
  }
  float mean = fold(sum) / (float)n;
  for (int64_t i = 0; i < n; i += GSK_LANES) {
    const float *ys = tail(out, i, n, mean, copy[0]);
    for (int v = 0; v < PARTS; v++) {
      V d = sub(load(ys + v * LANES), set1(mean));
      squares[v] = fmaV(d, d, squares[v]);
    }
  }
  float scale = 1.0f / __builtin_sqrtf(fold(squares) / (float)n + epsilon);
  for (int64_t i = 0; i < n; i += GSK_LANES) {
    const float *ys = tail(out, i, n, mean, copy[0]);
    const float *ws = tail(w, i, n, 0.0f, copy[1]), *bs = tail(b, i, n, 0.0f, copy[2]);
    V y[PARTS];
    for (int v = 0; v < PARTS; v++)
      y[v] = fmaV(mul(sub(load(ys + v * LANES), set1(mean)), set1(scale)), load(ws + v * LANES), load(bs + v * LANES));
    storeTail(out, i, n, y);
  }
}

GSK_INLINE void activateAs(const int KIND, const float *in, float *out, int64_t n) {
  float copy[2][GSK_LANES] __attribute__((aligned(64)));
  for (int64_t i = 0; i < n; i += GSK_LANES) {
    const float *xs = tail(in, i, n, 0.0f, copy[0]);
    const float *us = KIND == GSK_GELU ? xs : tail(in + n, i, n, 0.0f, copy[1]);
    V y[PARTS];
    for (int v = 0; v < PARTS; v++) {
      V x = load(xs + v * LANES);
      y[v] = KIND == GSK_GATED_SILU ? siluV(x) : geluV(x);
      if (KIND != GSK_GELU) y[v] = mul(y[v], load(us + v * LANES));
    }
    storeTail(out, i, n, y);
  }
}

static void activate(int kind, const float *in, float *out, int64_t n) {
  switch (kind) {
  case GSK_GELU: activateAs(GSK_GELU, in, out, n); return;
  case GSK_GATED_SILU: activateAs(GSK_GATED_SILU, in, out, n); return;
  case GSK_GATED_GELU: activateAs(GSK_GATED_GELU, in, out, n); return;
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

/* ---- attention ---------------------------------------------------------------------------------------- */

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

#define GSK_STRING2(x) #x
#define GSK_STRING(x) GSK_STRING2(x)
#define GSK_JOIN2(a, b) a##b
#define GSK_JOIN(a, b) GSK_JOIN2(a, b)
const gsk_kernel_set GSK_JOIN(gsk_, SET) = {
    .name = GSK_STRING(SET),
    .linear = linear,
    .prepare_exact = prepareExact,
    .prepare_fast = prepareFast,
    .norm = normRow,
    .activate = activate,
    .rotate = rotate,
    .attention = attention,
    .mean = mean,
};
