/* The matrix product over packed panels (kernels.h), tile by tile; see kernels_body.h. */
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
