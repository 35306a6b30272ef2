#include "exec.h"
#include "pool.h"

#include <stdatomic.h>
#include <string.h>

/* One thread's buffers, cut out of its workspace. */
typedef struct workspace {
  float *slot[GSK_SLOTS];
  uint8_t *codes;         /* [slab][gsk_codes_stride(widest)]: prepared activations */
  float *scales;          /* [slab][widest/32] */
  int32_t *zeros;         /* [slab][widest/32] */
  int32_t *sums;          /* [slab][widest/16] */
  uint8_t *widened;       /* a matrix's panel */
  float *scratch;         /* attention */
  float *row;             /* [hidden_size]: of a lookup table */
  int prepared;           /* the slot whose rows `codes` holds, −1: none */
  int prepared_unit;      /* gsk_form.unit that they are prepared for; 0: words */
  int64_t prepared_block; /* gsk_activation_block */
  int64_t prepared_k;
} workspace;

/* A batch under way: phases one after another, each of items that any thread may take. A phase ends when its
 * items are done, not when all threads have come by: a thread that gets no core keeps nobody waiting. */
typedef struct run {
  const gsk_program *p;
  const gsk_batch *b;
  int64_t phases;
  _Alignas(GSK_ALIGN) atomic_ullong turn; /* phase << 32 | its next item */
  _Alignas(GSK_ALIGN) atomic_llong done;  /* items of the phase that are done */
  atomic_int cancelled;
  int64_t waited; /* by the caller's thread, ns */
} run;

/* When runs may be shared again, after a team that waited for a core that others hold. A time, not a number of runs: of long
 * ones the first that begins after it is. */
static _Atomic int64_t crowded_until;
enum { CROWDED_NS = 100000000 };

#define TAKE(field, type, count) \
  (w->field = (type *)(base + at), at += gsk_up((count) * (int64_t)sizeof(type), GSK_ALIGN))

/* The slots that live through attention; with base NULL only the size counts. */
static int64_t lay_out_kept(const gsk_program *p, int64_t group_rows, uint8_t *base, workspace *w) {
  int64_t at = 0;
  for (int64_t i = 0; i < p->slot_count; i++)
    if (p->slots[i].kept) TAKE(slot[i], float, (p->slots[i].stride * group_rows));
  return at;
}

/* What a thread needs for the slab or the head it is at. */
static int64_t lay_out_own(const gsk_program *p, int64_t group_rows, int64_t longest, uint8_t *base,
                           workspace *w) {
  int64_t at = 0, slab = group_rows < GSK_SLAB ? group_rows : GSK_SLAB;
  int64_t head = 0;
  for (int64_t i = 0; i < p->step_count; i++)
    if (p->steps[i].op == GSK_ATTENTION && p->steps[i].head_size > head)
      head = p->steps[i].head_size;
  for (int64_t i = 0; i < p->slot_count; i++)
    if (!p->slots[i].kept) TAKE(slot[i], float, (p->slots[i].stride * slab));
  TAKE(codes, uint8_t, gsk_codes_stride(p->widest) * slab);
  TAKE(scales, float, (p->widest / GSK_BLOCK + 1) * slab);
  TAKE(zeros, int32_t, (p->widest / GSK_BLOCK + 1) * slab);
  TAKE(sums, int32_t, (p->widest / GSK_LANES + 1) * slab);
  TAKE(widened, uint8_t, p->widened);
  TAKE(scratch, float, gsk_attention_scratch(longest, head));
  TAKE(row, float, p->hidden_size);
  return at;
}
#undef TAKE

void gsk_workspace(const gsk_program *p, gsk_batch *b) {
  workspace w;
  b->kept_bytes = lay_out_kept(p, b->group_rows, NULL, &w);
  b->own_bytes = lay_out_own(p, b->group_rows, b->longest, NULL, &w);
}

static int64_t kept_copies(const gsk_batch *b) { return b->together ? 1 : b->threads; }

int64_t gsk_workspace_bytes(const gsk_batch *b) {
  return kept_copies(b) * b->kept_bytes + b->threads * b->own_bytes;
}

static float *row_of(const gsk_program *p, const workspace *w, int slot, int64_t row,
                     int64_t slab) {
  return w->slot[slot] + (p->slots[slot].kept ? row : row - slab) * p->slots[slot].stride;
}

static void prepare_rows(const gsk_program *p, workspace *w, const gsk_matrix *m, const float *x,
                         int64_t stride, int64_t rows) {
  const gsk_form *f = &m->form;
  int64_t k = m->k;
  if (f->fast) {
    p->set->prepare_fast(f, x, stride, rows, k, w->codes, w->scales, w->zeros,
                         p->mins ? w->sums : NULL);
    return;
  }
  for (int64_t i = 0; i < rows; i++, x += stride) {
    uint8_t *codes = w->codes + i * gsk_codes_stride(k);
    if (f->storage == GSK_WORDS) p->set->prepare_words(x, k, (int16_t *)codes, w->scales + i);
    else
      p->set->prepare_exact(f, x, k, codes, w->scales + i, w->zeros + i * (k / GSK_BLOCK),
                            p->mins ? w->sums + i * (k / GSK_LANES) : NULL);
  }
}

/* Prepares rows for codes or words, once for all matrices of the kind that read the same slot in a row. */
static void prepare(const gsk_program *p, workspace *w, const gsk_step *s, int64_t r0, int64_t r1) {
  const gsk_form *f = &s->matrix.form;
  int64_t k = s->matrix.k, block = gsk_activation_block(f);
  int unit = f->storage == GSK_WORDS ? 0 : f->unit;
  if (w->prepared == s->in && w->prepared_k == k && w->prepared_unit == unit &&
      w->prepared_block == block)
    return;
  prepare_rows(p, w, &s->matrix, row_of(p, w, s->in, r0, r0), p->slots[s->in].stride, r1 - r0);
  w->prepared = s->in;
  w->prepared_k = k;
  w->prepared_unit = unit;
  w->prepared_block = block;
}

static void run_linear(const gsk_program *p, workspace *w, const gsk_step *s, int64_t r0,
                       int64_t r1) {
  const gsk_matrix *m = &s->matrix;
  gsk_linear g = {
      .w = m, .bias = s->bias, .out_stride = p->slots[s->out].stride, .widened = w->widened};
  g.out = row_of(p, w, s->out, r0, r0) + s->column;
  if (m->form.storage == GSK_CODES8 || m->form.storage == GSK_CODES4 ||
      m->form.storage == GSK_WORDS) {
    prepare(p, w, s, r0, r1);
    g.a = (gsk_rows){.data = w->codes,
                     .stride = gsk_codes_stride(m->k),
                     .scales = w->scales,
                     .zeros = w->zeros,
                     .sums = w->sums};
  } else {
    g.a = (gsk_rows){.data = row_of(p, w, s->in, r0, r0), .stride = p->slots[s->in].stride * 4};
  }
  p->set->linear(&g, 0, r1 - r0, 0, (m->n + GSK_PANEL - 1) / GSK_PANEL);
}

static void run_norm(const gsk_program *p, const workspace *w, const gsk_step *s, int64_t r0,
                     int64_t r1) {
  gsk_norm g = {.x = row_of(p, w, s->in, r0, r0),
                .x_stride = p->slots[s->in].stride,
                .weight = s->weight,
                .bias = s->bias,
                .out = row_of(p, w, s->out, r0, r0),
                .out_stride = p->slots[s->out].stride,
                .rows = r1 - r0,
                .n = p->hidden_size,
                .epsilon = s->epsilon};
  if (s->add >= 0) {
    g.add = row_of(p, w, s->add, r0, r0);
    g.add_stride = p->slots[s->add].stride;
  }
  p->set->norm(&g);
}

/* A row's position in its text; first_of, the first rows of texts, is moved on to that text's. */
static int64_t position_in_text(const uint32_t **first_of, int64_t row) {
  while ((*first_of)[1] <= row) ++*first_of;
  return row - **first_of;
}

/* One row-local step over the rows of a slab. */
static void run_rows(const gsk_program *p, const gsk_batch *b, workspace *w, const gsk_step *s,
                     int64_t base, int64_t r0, int64_t r1, const uint32_t *first_of) {
  if (s->op == GSK_LINEAR) {
    run_linear(p, w, s, r0, r1);
  } else if (s->op == GSK_NORM) {
    run_norm(p, w, s, r0, r1);
  } else {
    for (int64_t r = r0; r < r1; r++) {
      float *out = row_of(p, w, s->out, r, r0);
      const float *in = s->in >= 0 ? row_of(p, w, s->in, r, r0) : NULL;
      switch (s->op) {
      case GSK_EMBED:
        if (b->embedded)
          memcpy(out, b->embedded + (base + r) * p->hidden_size, (size_t)p->hidden_size * 4);
        else
          gsk_embed(p, b->ids[base + r], (uint32_t)position_in_text(&first_of, base + r), w->row,
                    out);
        break;
      case GSK_ACTIVATE:
        (p->fast ? p->set->activate_fast : p->set->activate)(s->activation, in, out, s->columns);
        break;
      case GSK_ROTARY:
        p->set->rotate(out + s->column,
                       p->rotary + position_in_text(&first_of, base + r) * s->head_size, s->heads,
                       s->head_size);
        break;
      }
    }
  }
  if (s->out == w->prepared) w->prepared = -1;
}

/* Heads [h0, h1) of text t; base is the group's first row. */
static void attend(const gsk_program *p, const gsk_batch *b, workspace *w, const gsk_step *s,
                   int64_t base, int64_t t, int64_t h0, int64_t h1) {
  int64_t row = b->offsets[t] - base;
  gsk_attention a = {.qkv = w->slot[s->in] + row * p->slots[s->in].stride,
                     .stride = p->slots[s->in].stride,
                     .out = w->slot[s->out] + row * p->slots[s->out].stride,
                     .out_stride = p->slots[s->out].stride,
                     .rows = b->offsets[t + 1] - b->offsets[t],
                     .heads = s->heads,
                     .head_size = s->head_size,
                     .scale = s->scale,
                     .scratch = w->scratch};
  p->set->attention[s->attention](&a, h0, h1);
}

static void pool_text(const gsk_program *p, const gsk_batch *b, const workspace *w, int64_t base,
                      int64_t t) {
  int64_t stride = p->slots[p->result].stride, rows = b->offsets[t + 1] - b->offsets[t];
  const float *x = w->slot[p->result] + (b->offsets[t] - base) * stride;
  float *out = b->out + t * p->hidden_size;
  if (b->pooling == GSK_POOL_MEAN) {
    p->set->mean(x, stride, rows, out, p->hidden_size);
    return;
  }
  if (b->pooling == GSK_POOL_LAST) x += (rows - 1) * stride;
  memcpy(out, x, (size_t)p->hidden_size * 4);
}

/* Steps [s0, s1), all row-local, over rows [r0, r1), at most a slab, of the group that begins with text t0. */
static void run_slab(const gsk_program *p, const gsk_batch *b, workspace *w, int64_t s0, int64_t s1,
                     int64_t t0, int64_t r0, int64_t r1) {
  w->prepared = -1;
  for (int64_t s = s0; s < s1; s++)
    run_rows(p, b, w, &p->steps[s], b->offsets[t0], r0, r1, b->offsets + t0);
}

static int stopped(run *r) {
  if (r->b->cancelled && __atomic_load_n(r->b->cancelled, __ATOMIC_RELAXED))
    atomic_store(&r->cancelled, 1);
  return atomic_load(&r->cancelled);
}

/* All steps over one group of texts by one thread. */
static void run_group(run *r, workspace *w, int64_t t0, int64_t t1) {
  const gsk_program *p = r->p;
  const gsk_batch *b = r->b;
  int64_t base = b->offsets[t0], rows = b->offsets[t1] - base;
  /* even ones: a slab of few rows waits for the weights */
  int64_t slabs = (rows + GSK_SLAB - 1) / GSK_SLAB;
  for (int64_t k = 0; k < p->run_count && !stopped(r); k++) {
    const gsk_step *first = &p->steps[p->runs[k]];
    if (first->op == GSK_ATTENTION) {
      for (int64_t t = t0; t < t1; t++) attend(p, b, w, first, base, t, 0, first->heads);
    } else {
      for (int64_t i = 0; i < slabs; i++)
        run_slab(p, b, w, p->runs[k], p->runs[k + 1], t0, rows * i / slabs, rows * (i + 1) / slabs);
    }
  }
  for (int64_t t = t0; t < t1; t++) pool_text(p, b, w, base, t);
}

/* Into how many parts the threads cut a group's rows, and the heads of each of its texts. */
static int64_t row_parts(const gsk_batch *b, int64_t rows) {
  int64_t parts = b->threads * ((rows + b->threads * GSK_SLAB - 1) / (b->threads * GSK_SLAB));
  return parts < rows ? parts : rows;
}

static int64_t head_parts(const gsk_batch *b, int64_t texts, int64_t heads) {
  int64_t parts = (2 * b->threads + texts - 1) / texts;
  return parts < heads ? parts : heads;
}

/* A phase of a batch that all threads work on together: a run of steps, or the pooling, of one group. */
typedef struct phase {
  int64_t t0, t1, base, rows;
  int64_t s0, s1;       /* steps; none: pooling */
  int64_t items, heads; /* heads > 0: attention */
} phase;

static phase phase_of(const run *r, int64_t number) {
  const gsk_program *p = r->p;
  const gsk_batch *b = r->b;
  if (!b->together) return (phase){.items = b->group_count};
  int64_t g = number / (p->run_count + 1), k = number % (p->run_count + 1);
  phase f = {.t0 = b->groups[g], .t1 = b->groups[g + 1]};
  f.base = b->offsets[f.t0];
  f.rows = b->offsets[f.t1] - f.base;
  f.items = f.t1 - f.t0;
  if (k == p->run_count) return f;
  f.s0 = p->runs[k];
  f.s1 = p->runs[k + 1];
  if (p->steps[f.s0].op == GSK_ATTENTION) {
    f.heads = p->steps[f.s0].heads;
    f.items *= head_parts(b, f.t1 - f.t0, f.heads);
  } else {
    f.items = row_parts(b, f.rows);
  }
  return f;
}

static void run_item(run *r, workspace *w, const phase *f, int64_t item) {
  const gsk_program *p = r->p;
  const gsk_batch *b = r->b;
  if (!b->together) {
    run_group(r, w, b->groups[item], b->groups[item + 1]);
  } else if (f->heads) {
    int64_t parts = f->items / (f->t1 - f->t0), part = item % parts;
    attend(p, b, w, &p->steps[f->s0], f->base, f->t0 + item / parts, f->heads * part / parts,
           f->heads * (part + 1) / parts);
  } else if (f->s0 < f->s1) {
    run_slab(p, b, w, f->s0, f->s1, f->t0, f->rows * item / f->items,
             f->rows * (item + 1) / f->items);
  } else {
    pool_text(p, b, w, f->base, f->t0 + item);
  }
}

/* Until another thread has ended the phase: the others hold its last items. */
static void await(run *r, unsigned long long turn, int thread) {
  int64_t start = gsk_now();
  for (int spins = 0; atomic_load_explicit(&r->turn, memory_order_acquire) == turn && !stopped(r);
       spins++)
    gsk_relax(spins);
  if (thread == 0) r->waited += gsk_now() - start;
}

static void run_thread(void *arg, int thread) {
  run *r = arg;
  const gsk_batch *b = r->b;
  workspace w;
  lay_out_kept(r->p, b->group_rows, b->workspaces + (b->together ? 0 : thread) * b->kept_bytes, &w);
  lay_out_own(r->p, b->group_rows, b->longest,
              b->workspaces + kept_copies(b) * b->kept_bytes + thread * b->own_bytes, &w);
  for (;;) {
    unsigned long long turn = atomic_load(&r->turn);
    int64_t number = (int64_t)(turn >> 32), item = (int64_t)(turn & 0xffffffff);
    if (number == r->phases || stopped(r)) return;
    phase f = phase_of(r, number);
    if (item == f.items) {
      if (number + 1 == r->phases) return;
      await(r, turn, thread);
    } else if (atomic_compare_exchange_strong(&r->turn, &turn, turn + 1)) {
      run_item(r, &w, &f, item);
      if (atomic_fetch_add(&r->done, 1) + 1 == f.items) {
        atomic_store(&r->done, 0);
        atomic_store(&r->turn, (unsigned long long)(number + 1) << 32);
      }
    }
  }
}

int32_t gsk_run(const gsk_program *p, const gsk_batch *b) {
  run r = {.p = p, .b = b, .phases = b->together ? b->group_count * (p->run_count + 1) : 1};
  if (!b->together) {
    gsk_pool_run(b->threads, run_thread, &r);
  } else {
    int64_t start = gsk_now();
    gsk_pool_run(start < atomic_load(&crowded_until) ? 1 : b->threads, run_thread, &r);
    int64_t end = gsk_now();
    if (r.waited > (end - start) / 4) atomic_store(&crowded_until, end + CROWDED_NS);
  }
  return atomic_load(&r.cancelled);
}
