#include "exec.h"
#include "half.h"

#include <string.h>

static void put_number(uint8_t *p, int half, int64_t column, float value) {
  if (half) {
    uint16_t h = float_to_half(value);
    memcpy(p + 2 * column, &h, 2);
  } else {
    memcpy(p + 4 * column, &value, 4);
  }
}

/* unit codes that lie together: 2 or 4, a constant where this is inlined, so that each copy is one move. Of 4 bits two
 * such rows share bytes, the later in the high nibbles. */
static inline uint8_t *put_units(const gsk_form *f, uint8_t *block, int64_t column,
                                 const int8_t *codes, int sub, int unit) {
  uint8_t *at = block + unit * column;
  if (f->storage == GSK_CODES8) {
    const uint32_t sign = f->zero ? 0x80808080 : 0; /* adds the zero, which is 128 */
    for (int k = 0; k < sub; k += unit, at += unit * GSK_PANEL) {
      uint32_t together = 0;
      memcpy(&together, codes + k, (size_t)unit);
      together ^= sign;
      memcpy(at, &together, (size_t)unit);
    }
    return block + GSK_PANEL * sub;
  }
  for (int k = 0; k < sub; k += 2 * unit, at += unit * GSK_PANEL) {
    uint32_t low = 0, high = 0;
    memcpy(&low, codes + k, (size_t)unit);
    memcpy(&high, codes + k + unit, (size_t)unit);
    low = (low & 0x0f0f0f0f) | (high << 4 & 0xf0f0f0f0);
    memcpy(at, &low, (size_t)unit);
  }
  return block + GSK_PANEL * sub / 2;
}

/* The codes of one sub-block of one column; the block's numbers begin where the result points. Codes of 4 bits
 * are indices into the table. */
static uint8_t *put_codes(const gsk_form *f, uint8_t *block, int64_t column, const int8_t *codes,
                          int sub) {
  return f->unit == 2 ? put_units(f, block, column, codes, sub, 2)
                      : put_units(f, block, column, codes, sub, 4);
}

/* The sum of a sub-block's codes, behind its numbers, where the form has sums. */
static void put_sum(const gsk_form *f, uint8_t *numbers, int64_t column, const int8_t *codes,
                    int sub) {
  if (!gsk_takes_bytes(f)) return;
  int16_t sum = 0;
  for (int i = 0; i < sub; i++)
    sum = (int16_t)(sum + (f->storage == GSK_CODES4 ? f->table[codes[i] & 15] : codes[i]));
  memcpy(numbers + GSK_PANEL * gsk_number_bytes(f) + 2 * column, &sum, 2);
}

/* Whether two blocks of the type make one of a panel. */
static int is_joined(const gsk_form *f) { return f->sub_block == GSK_JOINED; }

static int64_t type_block(const gsk_form *f) { return is_joined(f) ? GSK_BLOCK : f->sub_block; }

/* Codes · ratio/2^15, rounded from 6 bits behind the point, which the upper half of a product of int16 has. Not inlined:
 * gcc then multiplies 8 at a time. */
static __attribute__((noinline)) void multiply(int8_t *codes, int16_t ratio) {
  for (int i = 0; i < GSK_BLOCK; i++) {
    int16_t product = (int16_t)((int16_t)(codes[i] * 128) * ratio >> 16);
    int16_t code = (int16_t)((int16_t)(product + 32) >> 6);
    codes[i] = (int8_t)(code > 127 ? 127 : code); /* 128 is −128 times −1 */
  }
}

/* A block's codes under a scale of no lesser magnitude. */
static void rescale(int8_t *codes, uint16_t from, uint16_t to) {
  float ratio = half_to_float(from) / half_to_float(to);
  if (from != to)
    multiply(codes, ratio >= -1.0f && ratio < 1.0f ? (int16_t)(ratio * 0x1p15f) : 0); /* 0/0 */
}

enum { HALF = 2 };

static uint16_t half_at(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, HALF);
  return h;
}

/* Two blocks under the scale of the greater magnitude, whose codes stay. */
static void put_both(const gsk_form *f, uint8_t *block, int64_t column, const int8_t *first,
                     uint16_t first_scale, const int8_t *second, uint16_t second_scale) {
  int8_t both[GSK_JOINED];
  uint8_t *numbers = block + GSK_PANEL * GSK_JOINED;
  int greater = (first_scale & 0x7fff) > (second_scale & 0x7fff);
  uint16_t scale = greater ? first_scale : second_scale;
  memcpy(both, first, GSK_BLOCK);
  memcpy(both + GSK_BLOCK, second, GSK_BLOCK);
  rescale(greater ? both + GSK_BLOCK : both, greater ? second_scale : first_scale, scale);
  put_codes(f, block, column, both, GSK_JOINED);
  put_sum(f, numbers, column, both, GSK_JOINED);
  memcpy(numbers + HALF * column, &scale, HALF);
}

/* One of two blocks: the first waits in its place, under its own scale. */
static void put_joined(const gsk_form *f, uint8_t *block, int64_t column, int second,
                       const int8_t *codes, uint16_t scale) {
  uint8_t *own = block + GSK_PANEL * GSK_JOINED + HALF * column;
  if (second) {
    int8_t first[GSK_BLOCK];
    for (int k = 0; k < GSK_BLOCK; k += f->unit)
      memcpy(first + k, block + k * GSK_PANEL + f->unit * column, (size_t)f->unit);
    put_both(f, block, column, first, half_at(own), codes, scale);
  } else {
    put_codes(f, block, column, codes, GSK_BLOCK);
    memcpy(own, &scale, HALF);
  }
}

/* One sub-block of one column. */
static void put_sub_block(const gsk_form *f, uint8_t *block, int64_t column, int second,
                          const int8_t *codes, float scale, float min) {
  if (is_joined(f)) {
    put_joined(f, block, column, second, codes, float_to_half(scale));
    return;
  }
  uint8_t *numbers = put_codes(f, block, column, codes, f->sub_block);
  put_number(numbers, f->half_scale, column, scale);
  if (f->has_min)
    put_number(numbers + GSK_PANEL * (f->half_scale ? 2 : 4), f->half_scale, column, min);
  put_sum(f, numbers, column, codes, f->sub_block);
}

/* A run of elements within one panel: a part of a row, or whole rows, which then are taken column by column, so that
 * a cache line of the panel is filled at once and not once a row. */
typedef struct piece {
  int64_t row, from, rows, columns;
} piece;

static piece piece_of(const gsk_matrix *m, int64_t first, int64_t n) {
  int64_t row = first / m->k, from = first % m->k, left = m->k - from;
  if (from || n < m->k) return (piece){row, from, 1, n < left ? n : left};
  int64_t rows = n / m->k, room = GSK_PANEL - row % GSK_PANEL;
  return (piece){row, 0, rows < room ? rows : room, m->k};
}

static uint8_t *panel_of(const gsk_matrix *m, int64_t row) {
  return (uint8_t *)m->data + row / GSK_PANEL * m->panel_bytes;
}

/* A block of the file in its panel's block, of joined ones the first or the second. */
static void put_block(const gsk_form *f, uint8_t *at, int64_t column, int second,
                      const uint8_t *block) {
  const int8_t *codes = (const int8_t *)block + HALF;
  int8_t spread[GSK_BLOCK];
  if (f->storage == GSK_F16) {
    memcpy(at + HALF * column, block, HALF);
    return;
  }
  if (f->storage == GSK_CODES4) { /* low nibbles are the first 16 elements */
    for (int j = 0; j < GSK_BLOCK / 2; j++)
      spread[j] = codes[j] & 15, spread[j + GSK_BLOCK / 2] = codes[j] >> 4 & 15;
    codes = spread;
  }
  if (is_joined(f)) {
    put_joined(f, at, column, second, codes, half_at(block));
    return;
  }
  uint8_t *numbers = put_codes(f, at, column, codes, GSK_BLOCK);
  memcpy(numbers + HALF * column, block, HALF);
  put_sum(f, numbers, column, codes, GSK_BLOCK);
}

/* Both blocks of joined ones. */
static void put_two(const gsk_form *f, uint8_t *at, int64_t column, const uint8_t *first,
                    const uint8_t *second) {
  put_both(f, at, column, (const int8_t *)first + HALF, half_at(first),
           (const int8_t *)second + HALF, half_at(second));
}

void gsk_pack_blocks(const gsk_matrix *m, int64_t first, int64_t n, const uint8_t *blocks) {
  const gsk_form *f = &m->form;
  int64_t elements = 1, block_bytes = HALF,
          bytes = HALF * GSK_PANEL; /* of a block, in the file and in a panel */
  int joined = is_joined(f);
  if (f->storage != GSK_F16) {
    elements = type_block(f);
    block_bytes += f->storage == GSK_CODES8 ? elements : elements / 2;
    bytes = gsk_codes_bytes(f);
  }
  for (int64_t end = first + n * elements; first < end;) {
    piece p = piece_of(m, first, end - first);
    uint8_t *panel = panel_of(m, p.row);
    int64_t from = p.from / elements, across = p.columns / elements;
    for (int64_t b = 0, taken; b < across; b += taken) {
      const int second = (from + b) & joined;
      taken = joined && !second && b + 1 < across ? 2 : 1;
      for (int64_t r = 0; r < p.rows; r++) {
        uint8_t *at = panel + ((from + b) >> joined) * bytes;
        const uint8_t *block = blocks + (r * across + b) * block_bytes;
        if (taken == 2) put_two(f, at, p.row % GSK_PANEL + r, block, block + block_bytes);
        else put_block(f, at, p.row % GSK_PANEL + r, second, block);
      }
    }
    first += p.rows * p.columns;
    blocks += p.rows * across * block_bytes;
  }
}

void gsk_pack_codes(const gsk_matrix *m, int64_t first, int64_t n, const int8_t *codes,
                    const float *scales, const float *mins) {
  int64_t sub = type_block(&m->form), bytes = gsk_codes_bytes(&m->form);
  int joined = is_joined(&m->form);
  for (int64_t i = 0; i < n / sub; i++) {
    int64_t element = first + i * sub, row = element / m->k, block = element % m->k / sub;
    put_sub_block(&m->form, panel_of(m, row) + (block >> joined) * bytes, row % GSK_PANEL,
                  block & joined, codes + i * sub, scales[i], mins ? mins[i] : 0.0f);
  }
}

/* A float32 in a form's storage. */
static inline void put_float(int32_t storage, uint8_t *panel, int64_t at, float value) {
  uint32_t bits;
  uint16_t narrow;
  memcpy(&bits, &value, 4);
  switch (storage) {
  case GSK_F32: memcpy(panel + 4 * at, &bits, 4); break;
  case GSK_F16:
    narrow = float_to_half(value);
    memcpy(panel + 2 * at, &narrow, 2);
    break;
  case GSK_BF16:
    narrow = (uint16_t)(bits >> 16);
    memcpy(panel + 2 * at, &narrow, 2);
    break;
  }
}

void gsk_pack_floats(const gsk_matrix *m, int64_t first, int64_t n, const float *values) {
  for (int64_t end = first + n; first < end;) {
    piece p = piece_of(m, first, end - first);
    uint8_t *panel = panel_of(m, p.row);
    for (int64_t k = 0; k < p.columns; k++)
      for (int64_t r = 0; r < p.rows; r++)
        put_float(m->form.storage, panel, (p.from + k) * GSK_PANEL + p.row % GSK_PANEL + r,
                  values[r * p.columns + k]);
    first += p.rows * p.columns;
    values += p.rows * p.columns;
  }
}

/* A whole output's weights to codes and their scale, like a row of activations. */
static void put_words(const gsk_kernel_set *set, const gsk_matrix *m, int64_t row,
                      const float *weights, int16_t *codes) {
  int64_t column = row % GSK_PANEL, pairs = (m->k + 1) / 2;
  uint8_t *at = panel_of(m, row) + 4 * column;
  float scale;
  set->prepare_words(weights, m->k, codes, &scale);
  for (int64_t u = 0; u < pairs; u++) memcpy(at + u * 4 * GSK_PANEL, codes + 2 * u, 4);
  memcpy(at + pairs * 4 * GSK_PANEL, &scale, 4);
}

void gsk_pack_words(const gsk_kernel_set *set, const gsk_matrix *m, int64_t first, int64_t n,
                    const uint8_t *values, int64_t bytes, gsk_read_row read, void *scratch) {
  float *weights = scratch;
  int16_t *codes = (int16_t *)(weights + gsk_up(m->k, GSK_LANES));
  for (int64_t end = first + n, columns; first < end; first += columns, values += columns * bytes) {
    int64_t from = first % m->k;
    columns = m->k - from < end - first ? m->k - from : end - first;
    read(values, weights + from, columns);
    if (from + columns == m->k) put_words(set, m, first / m->k, weights, codes);
  }
}
