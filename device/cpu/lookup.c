#include "exec.h"

#include <string.h>

/* All ones where the condition holds: without branches, compilers take several halves at a time. */
#define MASK(condition) (-(uint32_t)(condition))

static inline float half_to_float(uint16_t h) {
  const uint32_t bias = (127 - 15) << 23;
  int32_t m = h & 0x7fff;
  float f = (float)m * 0x1p-24f; /* subnormal */
  uint32_t small, normal = MASK(m >= 0x400);
  memcpy(&small, &f, 4);
  uint32_t large = ((uint32_t)m << 13) + bias + (bias & MASK(m >= 0x7c00)); /* infinity, NaN */
  uint32_t bits = (large & normal) | (small & ~normal) | (uint32_t)(h & 0x8000) << 16;
  memcpy(&f, &bits, 4);
  return f;
}
#undef MASK

void gsk_read_f32(const uint8_t *row, float *out, int64_t n) { memcpy(out, row, (size_t)n * 4); }

void gsk_read_f16(const uint8_t *row, float *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, row + 2 * i, 2);
    out[i] = half_to_float(h);
  }
}

/* ggml's block_q8_0: a half scale and 32 codes */
void gsk_read_q8_0(const uint8_t *row, float *out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, row += 34) {
    uint16_t h;
    memcpy(&h, row, 2);
    float scale = half_to_float(h);
    for (int j = 0; j < 32; j++) out[i + j] = (float)(int8_t)row[2 + j] * scale;
  }
}

static void add_row(const gsk_lookup *l, uint32_t id, float *row, float *out, int64_t n) {
  if (!l->data) return;
  l->read(l->data + id * l->row_bytes, row, n);
  for (int64_t i = 0; i < n; i++) out[i] += row[i];
}

void gsk_embed(const gsk_program *p, uint32_t id, uint32_t position, float *row, float *out) {
  p->tokens.read(p->tokens.data + id * p->tokens.row_bytes, out, p->hidden_size);
  add_row(&p->positions, position, row, out, p->hidden_size);
  add_row(&p->types, 0, row, out, p->hidden_size);
}
