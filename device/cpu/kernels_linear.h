/* The matrix product over packed panels (kernels.h): the forms, and the tiles of floats and words; see kernels_body.h.
 * The tiles of codes forms are in kernels_codes.h, or in the file that a set names with GSK_CODES. */
GSK_INLINE V loadScale(const uint8_t *p, int half, int column) {
  return half ? loadHalf((const uint16_t *)p + column) : load((const float *)p + column);
}

/* Where the high byte of k is in a row of high and low bytes; the low one is a block behind. Not all sets have such rows. */
GSK_OP int64_t highByteAt(int64_t k) { return k / GSK_BLOCK * 2 * GSK_BLOCK + k % GSK_BLOCK; }

/* gsk_activation_block of a sub-block */
GSK_OP int activationBlock(const int SUB) { return SUB == GSK_JOINED ? GSK_JOINED : GSK_BLOCK; }

/* The float steps of a sub-block of a codes form, the same in every set: its sums, then its min. */
GSK_INLINE V addBlock(const gsk_linear *g, const int SUB, const int MIN, const int FAST,
                      int64_t row, int64_t block, V sum, V scale, V min, V acc) {
  const int ACTIVATIONS = activationBlock(SUB);
  int64_t k = g->w->k;
  float own = FAST ? g->a.scales[row * (k / ACTIVATIONS) + block * SUB / ACTIVATIONS] : 1.0f;
  acc = fmaV(sum, FAST ? mul(scale, set1(own)) : scale, acc);
  if (!MIN) return acc;
  const int32_t *sums = g->a.sums + row * (k / GSK_LANES) + block * (SUB / GSK_LANES);
  float total = (float)(SUB == 32 ? sums[0] + sums[1] : sums[0]);
  return fmaV(set1(FAST ? total * own : total), min, acc);
}

GSK_INLINE void finishColumns(const gsk_linear *g, const int FAST, int64_t row, int64_t column,
                              V acc) {
  V scale = set1(FAST ? 1.0f : g->a.scales[row]);
  V bias = g->bias ? load(g->bias + column) : set1(0.0f);
  store(g->out + row * g->out_stride + column, fmaV(acc, scale, bias));
}

/* Rows of a tile are split evenly, and every count of them is compiled: rows are never padded with work. */
/* (lists of macros are left as they are: the formatter makes ladders of them) */
/* clang-format off */
#define GSK_CASE(TILE, MOST, N) case N: if (N <= MOST) { TILE((N <= MOST ? N : 1)); } break;
#define GSK_TILE(TILE, MOST, ROWS)                                                                 \
  switch (ROWS) {                                                                                  \
    GSK_CASE(TILE, MOST, 1) GSK_CASE(TILE, MOST, 2) GSK_CASE(TILE, MOST, 3) GSK_CASE(TILE, MOST, 4) \
    GSK_CASE(TILE, MOST, 5) GSK_CASE(TILE, MOST, 6) GSK_CASE(TILE, MOST, 7) GSK_CASE(TILE, MOST, 8) \
    GSK_CASE(TILE, MOST, 9) GSK_CASE(TILE, MOST, 10) GSK_CASE(TILE, MOST, 11) GSK_CASE(TILE, MOST, 12) \
  }
/* clang-format on */

/* Panels outside, so that a panel is read once a slab. TILE(MR) works on rows from r, panel p, columns from first; it is
 * the panel's tile number GSK_PART. Tiles have at most SIZE rows, a number up to the constant MOST, and begin at multiples
 * of STEP rows, which divides SIZE. */
#define GSK_PART (first ? tiles + t : tiles > 1 ? t : ALONE)
#define GSK_EACH_TILE_OF(TILE, MOST, STEP, SIZE) \
  GSK_EACH_ROWS(GSK_TILE(TILE, MOST, rows), STEP, SIZE)
#define GSK_EACH_ROWS(DO, STEP, SIZE)                                                          \
  for (int64_t p = p0, n = (r1 - r0 + STEP - 1) / STEP, tiles = (r1 - r0 + SIZE - 1) / (SIZE), \
               least = n / tiles, longer = n % tiles;                                          \
       p < p1; p++)                                                                            \
    for (int first = 0; first < GSK_PANEL; first += TILE_VECS * LANES)                         \
      for (int64_t t = 0, r = r0, rows; t < tiles; t++, r += rows) {                           \
        rows = STEP * (least + (t < longer));                                                  \
        if (STEP > 1 && rows > r1 - r) rows = r1 - r;                                          \
        DO;                                                                                    \
      }
#define GSK_EACH_TILE(TILE, MOST) GSK_EACH_TILE_OF(TILE, MOST, 1, MOST)

/* A model's weights do not stay in the second cache from one slab to the next, and the processor's own prefetchers end
 * with a page: tiles fetch while they work. Of several tiles of a panel the first ones share the next panel, a line a
 * step; a tile ALONE fetches all that lies AHEAD of what it reads, since nothing else hides the wait for a text of few
 * tokens. (Lines behind the last panel are fetched, too: no fetch faults.) */
enum { ALONE = -1, AHEAD = 4096 };
typedef struct fetch {
  const uint8_t *at; /* a step's first line */
  int64_t second;    /* bytes from there to its second; 0: there is none */
  int64_t behind;    /* bytes of lines between the last step of a block and the first of the next */
} fetch;

/* STEP: bytes of the panel that a step reads; BEHIND: those between its blocks of steps. */
GSK_INLINE fetch fetchOf(const gsk_matrix *w, int64_t p, int64_t part, int64_t steps,
                         const int STEP, const int BEHIND) {
  const uint8_t *panel = w->data + p * w->panel_bytes;
  if (part == ALONE) return (fetch){panel + AHEAD, STEP - GSK_ALIGN, BEHIND};
  int64_t from = part * steps * GSK_ALIGN;
  return (fetch){panel + (from < w->panel_bytes ? w->panel_bytes + from : 0), 0, 0};
}

GSK_INLINE void fetchStep(fetch *f, const int LINES) {
  __builtin_prefetch(f->at);
  if (LINES > 1) __builtin_prefetch(f->at + f->second);
  f->at += GSK_ALIGN + f->second;
}

GSK_INLINE void fetchBehind(fetch *f, const int BEHIND) {
  GSK_UNROLL for (int i = 0; i < BEHIND; i += GSK_ALIGN) __builtin_prefetch(f->at + i);
  f->at += f->behind;
}

/* A count that the compiler does not know, so that it leaves the loop a loop: unrolled, a set takes a megabyte. */
GSK_INLINE int opaque(int n) {
  __asm__("" : "+r"(n));
  return n;
}

/* gsk_is_q8 of a codes form */
#define IS_Q8(BITS, SUB, MIN, HALF) (BITS == 8 && SUB >= GSK_BLOCK && !MIN && HALF)

#ifndef GSK_CODES
#define GSK_CODES "kernels_codes.h"
#endif
#include GSK_CODES
#if NIBBLES
#include "kernels_codes_nibbles.h"
#endif

/* One tile of a float form: acc = fmaV(a[k], w[k], acc), k upwards. */
GSK_INLINE void tileFloats(const gsk_linear *g, const int MR, const int STORAGE, int64_t row,
                           int64_t p, int first, int64_t part) {
  const gsk_matrix *w = g->w;
  const int step = GSK_PANEL * (STORAGE == GSK_F32 ? 4 : 2);
  fetch f = fetchOf(w, p, part, w->k, step, 0);
  const uint8_t *panel = w->data + p * w->panel_bytes;
  const char *a = (const char *)g->a.data + row * g->a.stride;
  V acc[FLOAT_ROWS][TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      acc[i][j] = set1(0.0f);
  for (int64_t k = 0; k < w->k; k++) {
    V v[TILE_VECS];
    fetchStep(&f, step / GSK_ALIGN);
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
    V bias = g->bias ? load(g->bias + column) : set1(0.0f);
    store(g->out + (row + i) * g->out_stride + column, add(acc[i][j], bias));
  }
}

/* clang-format off */
GSK_INLINE void floatForm(const gsk_linear *g, const int STORAGE, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
#define GSK_FLOAT_TILE(MR) tileFloats(g, MR, STORAGE, r, p, first, GSK_PART)
  GSK_EACH_TILE(GSK_FLOAT_TILE, FLOAT_ROWS)
}

/* The float steps of a tile of words: out = fmaV(sum·the column's scale, the row's scale, bias). A function, since a copy
 * for each number of rows would be 40 KB of the library. */
static __attribute__((noinline)) void finishWords(const gsk_linear *g, const VI *sum, int rows,
                                                  int64_t row, int64_t p, int first) {
  const gsk_matrix *w = g->w;
  const float *scales =
      (const float *)(w->data + (p + 1) * w->panel_bytes - 4 * GSK_PANEL) + first;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < TILE_VECS; j++)
      finishColumns(g, 0, row + i, p * GSK_PANEL + first + j * LANES,
                    mul(toFloat(sum[i * TILE_VECS + j]), load(scales + j * LANES)));
}

/* One tile of words: sums of whole columns in int32, exact (gsk_words_norm). */
GSK_INLINE void tileWords(const gsk_linear *g, const int MR, int64_t row, int64_t p, int first,
                          int64_t part) {
  const gsk_matrix *w = g->w;
  const uint8_t *panel = w->data + p * w->panel_bytes;
  const int64_t pairs = (w->k + 1) / 2, stride = g->a.stride;
  const char *a = (const char *)g->a.data + row * stride;
  fetch f = fetchOf(w, p, part, pairs, 4 * GSK_PANEL, 0);
  VI sum[WORDS_ROWS][TILE_VECS], finished[WORDS_ROWS * TILE_VECS];
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      sum[i][j] = zeroI();
  panel += 4 * first;
  for (int64_t u = 0; u < pairs; u++, a += 4, panel += 4 * GSK_PANEL) {
    VW v[TILE_VECS];
    fetchStep(&f, 2);
    GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
        memcpy(&v[j], panel + j * sizeof(VW), sizeof(VW));
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      VI x = pair(a + i * stride);
      GSK_UNROLL for (int j = 0; j < TILE_VECS; j++) sum[i][j] = dot(sum[i][j], x, v[j]);
    }
  }
  /* a copy: sums whose address is taken would not stay in registers */
  GSK_UNROLL for (int i = 0; i < MR; i++) GSK_UNROLL for (int j = 0; j < TILE_VECS; j++)
      finished[i * TILE_VECS + j] = sum[i][j];
  finishWords(g, finished, opaque(MR), row, p, first);
}

/* Tiles of a set's own take the length of a block from the form: one function is for both. */
#ifdef Q8_TILES
#define GSK_JOINED_FORM(X)
#define FUNCTION_BLOCK(SUB) (SUB == GSK_JOINED ? GSK_BLOCK : SUB)
#else
#define GSK_JOINED_FORM(X) X(D8_64_H, 8, 64, 0, 1, 1)
#define FUNCTION_BLOCK(SUB) (SUB)
#endif

/* Tiles of 4-bit codes are those of 8-bit ones where a set widens them beforehand. */
#if WIDENS
#define GSK_NIBBLE_FORMS(X) X(C8_32_F, 8, 32, 0, 0, 0) X(D8_32_F, 8, 32, 0, 0, 1)
#else
#define GSK_NIBBLE_FORMS(X)                                                                        \
  X(C4_32_H, 4, 32, 0, 1, 0) X(C4_32_HM, 4, 32, 1, 1, 0)                                           \
  X(C4_32_F, 4, 32, 0, 0, 0) X(C4_32_FM, 4, 32, 1, 0, 0)                                           \
  X(D4_32_H, 4, 32, 0, 1, 1) X(D4_32_HM, 4, 32, 1, 1, 1)                                           \
  X(D4_32_F, 4, 32, 0, 0, 1) X(D4_32_FM, 4, 32, 1, 0, 1)
#endif

/* the table of codes forms: C exact, D fast; bits, sub-block, H halves or F floats, M mins */
#define GSK_FORMS(X)                                                                               \
  GSK_JOINED_FORM(X) GSK_NIBBLE_FORMS(X)                                                           \
  X(C8_32_H, 8, 32, 0, 1, 0) X(C8_32_HM, 8, 32, 1, 1, 0) X(C8_32_FM, 8, 32, 1, 0, 0)               \
  X(C8_16_F, 8, 16, 0, 0, 0) X(C8_16_FM, 8, 16, 1, 0, 0)                                           \
  X(D8_32_H, 8, 32, 0, 1, 1) X(D8_32_HM, 8, 32, 1, 1, 1) X(D8_32_FM, 8, 32, 1, 0, 1)               \
  X(D8_16_F, 8, 16, 0, 0, 1) X(D8_16_FM, 8, 16, 1, 0, 1)
#define GSK_CODES_FUNCTION(NAME, BITS, SUB, MIN, HALF, FAST)                                       \
  static __attribute__((noinline)) void NAME(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) { \
    codesForm(g, BITS, SUB, MIN, HALF, FAST, r0, r1, p0, p1);                                      \
  }
#define GSK_FLOAT_FUNCTION(NAME)                                                                   \
  static __attribute__((noinline)) void NAME(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) { \
    floatForm(g, GSK_##NAME, r0, r1, p0, p1);                                                      \
  }
GSK_FORMS(GSK_CODES_FUNCTION)
GSK_FLOAT_FUNCTION(F32)
GSK_FLOAT_FUNCTION(F16)
GSK_FLOAT_FUNCTION(BF16)
static __attribute__((noinline)) void WORDS(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
#define GSK_WORDS_TILE(MR) tileWords(g, MR, r, p, first, GSK_PART)
  GSK_EACH_TILE(GSK_WORDS_TILE, WORDS_ROWS)
}

typedef void form_function(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
/* clang-format on */

static form_function *formFunction(const gsk_form *f) {
  int bits = f->storage == GSK_CODES4 ? 4 : 8, block = FUNCTION_BLOCK(f->sub_block);
  switch (f->storage) {
  case GSK_F32: return F32;
  case GSK_F16: return F16;
  case GSK_BF16: return BF16;
  case GSK_WORDS: return WORDS;
  }
#define GSK_PICK(NAME, BITS, SUB, MIN, HALF, FAST)                                  \
  if (bits == BITS && block == SUB && f->has_min == MIN && f->half_scale == HALF && \
      f->fast == FAST)                                                              \
    return NAME;
#if NIBBLES
  if (bits == 4) return f->has_min ? NIBBLES_MIN : NIBBLES_ALONE; /* others are widened */
#endif
  GSK_FORMS(GSK_PICK)
  return NULL; /* pack.go makes no other form */
}

#if WIDENS
/* A panel of 4-bit codes to `to` as one of 8-bit codes, and the next one on its way meanwhile. */
static void widenPanel(const gsk_matrix *m, int64_t p, uint8_t *to) {
  const gsk_form *f = &m->form;
  const int row = GSK_PANEL * f->unit,
            rest = (int)gsk_codes_bytes(f) - GSK_PANEL * f->sub_block / 2;
  const uint8_t *from = m->data + p * m->panel_bytes;
  for (int64_t b = 0; b < m->k / f->sub_block; b++) {
    for (int k = 0; k < f->sub_block; k += 2 * f->unit, from += row, to += 2 * row)
      for (int i = 0; i < row; i += 32) {
        __builtin_prefetch(from + i + m->panel_bytes);
        widenNibbles(from + i, f->table, to + i, to + row + i);
      }
    memcpy(to, from, (size_t)rest);
    from += rest, to += rest;
  }
}

/* The product by way of panels of 8-bit codes: tiles would widen codes once for each few rows. */
static void widenedForm(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
  const gsk_matrix *m = g->w;
  gsk_matrix w = {.data = g->widened, .n = GSK_PANEL, .k = m->k, .form = gsk_widened(&m->form)};
  w.panel_bytes = gsk_panel_bytes(&w.form, w.k);
  form_function *form = formFunction(&w.form);
  gsk_linear e = *g;
  e.w = &w;
  for (int64_t p = p0; p < p1; p++) {
    e.out = g->out + p * GSK_PANEL;
    if (g->bias) e.bias = g->bias + p * GSK_PANEL;
    widenPanel(m, p, g->widened);
    form(&e, r0, r1, 0, 1);
  }
}
#else
#define widenedForm NULL
#endif

/* A last panel of fewer than 32 columns is computed whole into a copy. */
static void lastPanel(form_function *form, const gsk_linear *g, int64_t r0, int64_t r1) {
  float out[GSK_SLAB * GSK_PANEL], bias[GSK_PANEL] = {0};
  int64_t p = g->w->n / GSK_PANEL, columns = g->w->n % GSK_PANEL, k = g->w->k;
  int64_t blocks = k / gsk_activation_block(&g->w->form);
  gsk_matrix w = *g->w;
  w.data += p * w.panel_bytes;
  w.n = GSK_PANEL;
  if (g->bias) memcpy(bias, g->bias + p * GSK_PANEL, (size_t)columns * sizeof(float));
  for (int64_t r = r0, rows; r < r1; r += rows) {
    rows = r1 - r < GSK_SLAB ? r1 - r : GSK_SLAB;
    gsk_linear e = {.w = &w,
                    .a = g->a,
                    .bias = bias,
                    .out = out,
                    .out_stride = GSK_PANEL,
                    .widened = g->widened};
    e.a.data = (const char *)g->a.data + r * g->a.stride;
    if (g->a.scales) { /* codes or words */
      e.a.scales += r * (w.form.fast ? blocks : 1);
      e.a.zeros += r * blocks;
      e.a.sums += r * (k / GSK_LANES);
    }
    form(&e, 0, rows, 0, 1);
    for (int64_t i = 0; i < rows; i++)
      memcpy(g->out + (r + i) * g->out_stride + p * GSK_PANEL, out + i * GSK_PANEL,
             (size_t)columns * sizeof(float));
  }
}

static void linear(const gsk_linear *g, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
  if (r0 >= r1) return; /* there is no tile */
  const gsk_form *f = &g->w->form;
  form_function *form = gsk_is_widened(WIDENS, NIBBLES, f) ? widenedForm : formFunction(f);
  int64_t whole = g->w->n / GSK_PANEL;
  form(g, r0, r1, p0, p1 < whole ? p1 : whole);
  if (p1 > whole) lastPanel(form, g, r0, r1);
}
