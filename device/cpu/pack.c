#include "exec.h"

#include <string.h>

/* float32 that is exactly a half → the half's bits (quant.CodesForm.HalfScale promises it). */
static uint16_t to_half(float f) {
  uint32_t b;
  memcpy(&b, &f, 4);
  uint32_t sign = b >> 16 & 0x8000, magnitude = b & 0x7fffffff;
  if (magnitude >= 0x38800000) return (uint16_t)(sign | ((magnitude - ((127u - 15) << 23)) >> 13));
  float positive;
  memcpy(&positive, &magnitude, 4);
  return (uint16_t)(sign | (uint32_t)(positive * 0x1p24f)); /* subnormal */
}

static void put_number(uint8_t *p, int half, int64_t column, float value) {
  if (half) {
    uint16_t h = to_half(value);
    memcpy(p + 2 * column, &h, 2);
  } else {
    memcpy(p + 4 * column, &value, 4);
  }
}

/* The codes of one sub-block of one column; the block's numbers begin where the result points. Codes of 4 bits
 * are indices into the table. */
static uint8_t *put_codes(const gsk_form *f, uint8_t *block, int64_t column, const int8_t *codes, int sub) {
  int unit = f->unit;
  uint8_t *at = block + unit * column;
  if (f->storage == GSK_CODES8) {
    for (int u = 0; u < sub / unit; u++, at += unit * GSK_PANEL, codes += unit)
      for (int j = 0; j < unit; j++) at[j] = (uint8_t)codes[j];
    return block + GSK_PANEL * sub;
  }
  for (int u = 0; u < sub / unit / 2; u++, at += unit * GSK_PANEL, codes += 2 * unit)
    for (int j = 0; j < unit; j++) at[j] = (uint8_t)((codes[j] & 15) | codes[unit + j] << 4);
  return block + GSK_PANEL * sub / 2;
}

/* The sum of a sub-block's codes, behind its numbers. */
static void put_sum(const gsk_form *f, uint8_t *numbers, int64_t column, const int8_t *codes, int sub) {
  if (!f->fast) return;
  int16_t sum = 0;
  for (int i = 0; i < sub; i++) sum = (int16_t)(sum + (f->storage == GSK_CODES4 ? f->table[codes[i] & 15] : codes[i]));
  memcpy(numbers + GSK_PANEL * gsk_number_bytes(f) + 2 * column, &sum, 2);
}

/* One sub-block of one column. */
static void put_sub_block(const gsk_form *f, uint8_t *block, int64_t column, const int8_t *codes, float scale, float min) {
  uint8_t *numbers = put_codes(f, block, column, codes, f->sub_block);
  put_number(numbers, f->half_scale, column, scale);
  if (f->has_min) put_number(numbers + GSK_PANEL * (f->half_scale ? 2 : 4), f->half_scale, column, min);
  put_sum(f, numbers, column, codes, f->sub_block);
}

/* Where the panels' next sub-block goes. */
typedef struct place {
  int64_t row, block, blocks, bytes;
} place;

static place place_of(const gsk_matrix *m, int64_t first) {
  return (place){first / m->k, first % m->k / m->form.sub_block, m->k / m->form.sub_block, gsk_codes_bytes(&m->form)};
}

static uint8_t *take_place(const gsk_matrix *m, place *p) {
  uint8_t *at = (uint8_t *)m->data + p->row / GSK_PANEL * m->panel_bytes + p->block * p->bytes;
  if (++p->block == p->blocks) p->block = 0, p->row++;
  return at;
}

void gsk_pack_blocks(const gsk_matrix *m, int64_t first, int64_t n, const uint8_t *blocks) {
  enum { ELEMENTS = 32, HALF = 2 };
  const gsk_form *f = &m->form;
  int64_t code_bytes = f->storage == GSK_CODES8 ? ELEMENTS : ELEMENTS / 2;
  place p = place_of(m, first);
  for (int64_t i = 0; i < n; i++, blocks += HALF + code_bytes) {
    const int8_t *codes = (const int8_t *)blocks + HALF;
    int8_t spread[ELEMENTS];
    if (f->storage == GSK_CODES4) { /* low nibbles are the first 16 elements */
      for (int j = 0; j < ELEMENTS / 2; j++) spread[j] = codes[j] & 15, spread[j + ELEMENTS / 2] = codes[j] >> 4 & 15;
      codes = spread;
    }
    int64_t column = p.row % GSK_PANEL;
    uint8_t *numbers = put_codes(f, take_place(m, &p), column, codes, ELEMENTS);
    memcpy(numbers + HALF * column, blocks, HALF);
    put_sum(f, numbers, column, codes, ELEMENTS);
  }
}

void gsk_pack_codes(const gsk_matrix *m, int64_t first, int64_t n, const int8_t *codes, const float *scales, const float *mins) {
  int64_t sub = m->form.sub_block;
  place p = place_of(m, first);
  for (int64_t i = 0; i < n / sub; i++) {
    int64_t column = p.row % GSK_PANEL;
    put_sub_block(&m->form, take_place(m, &p), column, codes + i * sub, scales[i], mins ? mins[i] : 0.0f);
  }
}

void gsk_pack_floats(const gsk_matrix *m, int64_t first, int64_t n, const float *values) {
  int64_t row = first / m->k, k = first % m->k;
  for (int64_t i = 0; i < n; i++) {
    uint8_t *panel = (uint8_t *)m->data + row / GSK_PANEL * m->panel_bytes;
    int64_t at = k * GSK_PANEL + row % GSK_PANEL;
    uint32_t bits;
    memcpy(&bits, &values[i], 4);
    uint16_t narrow;
    switch (m->form.storage) {
    case GSK_F32: memcpy(panel + 4 * at, &bits, 4); break;
    case GSK_F16: narrow = to_half(values[i]); memcpy(panel + 2 * at, &narrow, 2); break;
    case GSK_BF16: narrow = (uint16_t)(bits >> 16); memcpy(panel + 2 * at, &narrow, 2); break;
    }
    if (++k == m->k) k = 0, row++;
  }
}
