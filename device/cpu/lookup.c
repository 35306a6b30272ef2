#include "exec.h"
#include "half.h"

#include <string.h>

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
