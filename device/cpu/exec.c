#include "exec.h"
#include "pool.h"

#include <stdatomic.h>
#include <string.h>

enum { MAX_SLOTS = 16 };

/* One thread's buffers, cut out of its workspace. */
typedef struct workspace {
  float *slot[MAX_SLOTS];
  int16_t *codes;  /* [slab][widest]: prepared activations */
  float *scales;   /* [slab][widest/32] */
  int32_t *sums;   /* [slab][widest/16] */
  float *scratch;  /* attention */
  int prepared;    /* the slot whose rows `codes` holds, −1: none */
  int64_t prepared_k;
} workspace;

typedef struct run {
  const gsk_program *p;
  const gsk_batch *b;
  atomic_llong next;
  atomic_int cancelled;
} run;

/* Lays the buffers out; with base NULL only the size counts. */
static int64_t lay_out(const gsk_program *p, int64_t group_rows, int64_t longest, uint8_t *base, workspace *w) {
  int64_t at = 0, slab = group_rows < GSK_SLAB ? group_rows : GSK_SLAB;
  int64_t head = 0;
  for (int64_t i = 0; i < p->step_count; i++)
    if (p->steps[i].op == GSK_ATTENTION && p->steps[i].head_size > head) head = p->steps[i].head_size;
#define TAKE(field, type, count) (w->field = (type *)(base + at), at += gsk_up((count) * (int64_t)sizeof(type), GSK_ALIGN))
  for (int64_t i = 0; i < p->slot_count; i++)
    TAKE(slot[i], float, p->slots[i].stride * (p->slots[i].kept ? group_rows : slab));
  TAKE(codes, int16_t, slab * p->widest);
  TAKE(scales, float, slab * (p->widest / GSK_BLOCK + 1));
  TAKE(sums, int32_t, slab * (p->widest / GSK_LANES + 1));
  TAKE(scratch, float, gsk_attention_scratch(longest, head));
#undef TAKE
  return at;
}

int64_t gsk_workspace_bytes(const gsk_program *p, int64_t group_rows, int64_t longest) {
  workspace w;
  return lay_out(p, group_rows, longest, NULL, &w);
}

static float *row_of(const gsk_program *p, const workspace *w, int slot, int64_t row, int64_t slab) {
  return w->slot[slot] + (p->slots[slot].kept ? row : row - slab) * p->slots[slot].stride;
}

/* Prepares rows for a codes form, once for all matrices that read the same slot in a row. */
static void prepare(const gsk_program *p, workspace *w, const gsk_step *s, int64_t r0, int64_t r1) {
  int64_t k = s->matrix.k;
  if (w->prepared == s->in && w->prepared_k == k) return;
  for (int64_t r = r0; r < r1; r++) {
    const float *x = row_of(p, w, s->in, r, r0);
    int16_t *codes = w->codes + (r - r0) * k;
    int32_t *sums = w->sums + (r - r0) * (k / GSK_LANES);
    if (p->fast) p->set->prepare_fast(x, k, codes, w->scales + (r - r0) * (k / GSK_BLOCK), sums);
    else p->set->prepare_exact(x, k, codes, w->scales + (r - r0), sums);
  }
  w->prepared = s->in;
  w->prepared_k = k;
}

static void run_linear(const gsk_program *p, workspace *w, const gsk_step *s, int64_t r0, int64_t r1) {
  const gsk_matrix *m = &s->matrix;
  gsk_linear g = {.w = m, .bias = s->bias, .out_stride = p->slots[s->out].stride};
  g.out = row_of(p, w, s->out, r0, r0) + s->column;
  if (m->form.storage == GSK_CODES8 || m->form.storage == GSK_CODES4) {
    prepare(p, w, s, r0, r1);
    g.a = (gsk_rows){.data = w->codes, .stride = m->k * 2, .scales = w->scales, .sums = w->sums,
                     .scale_stride = p->fast ? m->k / GSK_BLOCK : 1, .sum_stride = m->k / GSK_LANES, .fast = p->fast};
  } else {
    g.a = (gsk_rows){.data = row_of(p, w, s->in, r0, r0), .stride = p->slots[s->in].stride * 4};
  }
  p->set->linear(&g, 0, r1 - r0, 0, (m->n + GSK_PANEL - 1) / GSK_PANEL);
}

/* One row-local step over the rows of a slab. positions[r] is a row's place in its text. */
static void run_rows(const gsk_program *p, const gsk_batch *b, workspace *w, const gsk_step *s, int64_t base,
                     int64_t r0, int64_t r1, const uint32_t *first_of) {
  if (s->op == GSK_LINEAR) {
    run_linear(p, w, s, r0, r1);
  } else {
    for (int64_t r = r0; r < r1; r++) {
      float *out = row_of(p, w, s->out, r, r0);
      const float *in = s->in >= 0 ? row_of(p, w, s->in, r, r0) : NULL;
      switch (s->op) {
      case GSK_EMBED: memcpy(out, b->embedded + (base + r) * p->hidden_size, (size_t)p->hidden_size * 4); break;
      case GSK_NORM:
        p->set->norm(in, s->add >= 0 ? row_of(p, w, s->add, r, r0) : NULL, s->weight, s->bias, out,
                     p->hidden_size, s->epsilon);
        break;
      case GSK_ACTIVATE: p->set->activate(s->activation, in, out, s->columns); break;
      case GSK_ROTARY: {
        while (first_of[1] <= base + r) first_of++;
        int64_t position = base + r - first_of[0];
        p->set->rotate(out + s->column, p->rotary + position * s->head_size, s->heads, s->head_size);
        break;
      }
      }
    }
  }
  if (s->out == w->prepared) w->prepared = -1;
}

static void run_attention(const gsk_program *p, const gsk_batch *b, workspace *w, const gsk_step *s, int64_t t0, int64_t t1) {
  int64_t base = b->offsets[t0];
  for (int64_t t = t0; t < t1; t++) {
    int64_t row = b->offsets[t] - base;
    gsk_attention a = {.qkv = w->slot[s->in] + row * p->slots[s->in].stride, .stride = p->slots[s->in].stride,
                       .out = w->slot[s->out] + row * p->slots[s->out].stride, .out_stride = p->slots[s->out].stride,
                       .rows = b->offsets[t + 1] - b->offsets[t], .heads = s->heads, .head_size = s->head_size,
                       .scale = s->scale, .scratch = w->scratch};
    p->set->attention(&a, 0, s->heads);
  }
}

static void pool_text(const gsk_program *p, const gsk_batch *b, const workspace *w, int64_t row, int64_t rows, float *out) {
  int64_t stride = p->slots[p->result].stride;
  const float *x = w->slot[p->result] + row * stride;
  if (b->pooling == GSK_POOL_MEAN) {
    p->set->mean(x, stride, rows, out, p->hidden_size);
    return;
  }
  if (b->pooling == GSK_POOL_LAST) x += (rows - 1) * stride;
  memcpy(out, x, (size_t)p->hidden_size * 4);
}

/* All steps over one group of texts. */
static void run_group(run *r, workspace *w, int64_t t0, int64_t t1) {
  const gsk_program *p = r->p;
  const gsk_batch *b = r->b;
  int64_t base = b->offsets[t0], rows = b->offsets[t1] - base;
  for (int64_t i = 0; i < p->step_count;) {
    if (b->cancelled && __atomic_load_n(b->cancelled, __ATOMIC_RELAXED)) {
      atomic_store(&r->cancelled, 1);
      return;
    }
    if (p->steps[i].op == GSK_ATTENTION) {
      run_attention(p, b, w, &p->steps[i++], t0, t1);
      continue;
    }
    int64_t end = i;
    while (end < p->step_count && p->steps[end].op != GSK_ATTENTION) end++;
    for (int64_t r0 = 0; r0 < rows; r0 += GSK_SLAB) {
      int64_t r1 = r0 + GSK_SLAB < rows ? r0 + GSK_SLAB : rows;
      w->prepared = -1;
      for (int64_t s = i; s < end; s++) run_rows(p, b, w, &p->steps[s], base, r0, r1, b->offsets + t0);
    }
    i = end;
  }
  for (int64_t t = t0; t < t1; t++)
    pool_text(p, b, w, b->offsets[t] - base, b->offsets[t + 1] - b->offsets[t], b->out + t * p->hidden_size);
}

static void run_thread(void *arg, int thread) {
  run *r = arg;
  const gsk_batch *b = r->b;
  workspace w;
  lay_out(r->p, b->group_rows, b->longest, b->workspaces + thread * b->workspace_bytes, &w);
  for (;;) {
    long long g = atomic_fetch_add(&r->next, 1);
    if (g >= b->group_count || atomic_load(&r->cancelled)) return;
    run_group(r, &w, b->groups[g], b->groups[g + 1]);
  }
}

int32_t gsk_run(const gsk_program *p, const gsk_batch *b) {
  run r = {.p = p, .b = b};
  gsk_pool_run(b->threads, run_thread, &r);
  return atomic_load(&r.cancelled);
}
