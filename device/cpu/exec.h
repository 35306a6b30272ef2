/* A compiled program (device.Program with addresses for numbers) and the run of a batch over it.
 *
 *   enough groups: texts ─▶ groups of whole texts ─▶ a thread takes a group through all steps, no barrier
 *   few texts:     all threads go through one group together, phase by phase
 *   group ─▶ runs of row-local steps, slab by slab (≤ GSK_SLAB rows) │ attention, text by text │ pooling
 */
#ifndef GSK_EXEC_H
#define GSK_EXEC_H

#include "kernels.h"

#pragma GCC visibility push(hidden)

enum { GSK_EMBED, GSK_NORM, GSK_LINEAR, GSK_ACTIVATE, GSK_ROTARY, GSK_ATTENTION }; /* device.Op */
enum { GSK_POOL_MEAN = 1, GSK_POOL_CLS = 2, GSK_POOL_LAST = 3 }; /* device.Pooling */

enum { GSK_SLOTS = 16 }; /* most of a program */

typedef struct gsk_slot {
  int64_t stride; /* floats, gsk_floats_stride */
  int32_t kept;   /* lives through attention: rows of the whole group, else of one slab */
  int32_t pad;
} gsk_slot;

typedef struct gsk_step {
  int32_t op, in, add, out; /* slots, −1: none */
  int32_t column, columns, activation, attention /* gsk_attention_of */, heads, head_size;
  float epsilon, scale;
  const float *weight, *bias; /* vectors */
  gsk_matrix matrix;
} gsk_step;

typedef void (*gsk_read_row)(const uint8_t *row, float *out, int64_t n);

/* A table whose rows are the file's blocks; data NULL: the model has none. */
typedef struct gsk_lookup {
  const uint8_t *data;
  int64_t row_bytes;
  gsk_read_row read; /* the same bits as quant's decoder */
} gsk_lookup;

typedef struct gsk_program {
  const gsk_step *steps;
  const gsk_slot *slots;
  const float *rotary;
  gsk_lookup tokens, positions, types; /* of GSK_EMBED */
  const int32_t
      *runs; /* [run_count+1]: first step of each run: row-local steps, or one attention */
  int64_t step_count, slot_count, run_count, hidden_size, result;
  int64_t widest;  /* largest k of a matrix */
  int64_t widened; /* most that a matrix needs, gsk_widened_bytes */
  int32_t fast;
  int32_t mins; /* some matrix has mins: sums of the activations are needed */
  const gsk_kernel_set *set;
} gsk_program;

typedef struct gsk_batch {
  const uint32_t *ids; /* of the lookup tables' rows, all texts' one after another */
  const float *
      embedded; /* or, for tables that no gsk_read_row reads, the rows' sums: [tokens][hidden_size] */
  const uint32_t *offsets; /* [texts+1] */
  const uint32_t *groups;  /* [group_count+1]: first text of each group */
  int64_t group_count;
  int64_t group_rows,
      longest; /* most rows of a group and of a text: what a workspace is made for */
  float *out;  /* [texts][hidden_size] */
  uint8_t *
      workspaces; /* kept slots of each thread's group, or of the one of all; then each thread's own */
  int64_t kept_bytes, own_bytes; /* gsk_workspace */
  const uint32_t *cancelled;     /* or NULL */
  int32_t pooling, threads;
  int32_t together; /* all threads work on one group after another, else each on its own */
  int32_t pad;
} gsk_batch;

/* Sets kept_bytes and own_bytes from group_rows and longest; then all the bytes that the threads need. */
void gsk_workspace(const gsk_program *p, gsk_batch *b);
int64_t gsk_workspace_bytes(const gsk_batch *b);
/* 0, or 1 when the batch was cancelled. */
int32_t gsk_run(const gsk_program *p, const gsk_batch *b);

void gsk_read_f32(const uint8_t *row, float *out, int64_t n);
void gsk_read_f16(const uint8_t *row, float *out, int64_t n);
void gsk_read_q8_0(const uint8_t *row, float *out, int64_t n);
/* out = token's row + position's row + type 0's row; `row` is room for one. */
void gsk_embed(const gsk_program *p, uint32_t id, uint32_t position, float *row, float *out);

/* Packing: elements [first, first+n) of a matrix, counted row by row, go to their places. gsk_pack_blocks takes n
 * blocks of the file as they are: a half scale and 32 codes of 8 or 4 bits, or one half. */
void gsk_pack_blocks(const gsk_matrix *m, int64_t first, int64_t n, const uint8_t *blocks);
void gsk_pack_codes(const gsk_matrix *m, int64_t first, int64_t n, const int8_t *codes,
                    const float *scales, const float *mins);
void gsk_pack_floats(const gsk_matrix *m, int64_t first, int64_t n, const float *values);

/* Words: an output's weights are scaled together, so a row of the file waits in float32 until it is whole. Numbers of
 * `bytes` bytes are read by `read`. Elements come in order; `scratch`, gsk_words_scratch(k) bytes, stays what it is
 * between the calls for one matrix. */
void gsk_pack_words(const gsk_kernel_set *set, const gsk_matrix *m, int64_t first, int64_t n,
                    const uint8_t *values, int64_t bytes, gsk_read_row read, void *scratch);
static inline int64_t gsk_words_scratch(int64_t k) { return 6 * gsk_up(k, GSK_LANES); }

#pragma GCC visibility pop
#endif
