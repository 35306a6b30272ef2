/* What every kernel set provides, and the packed forms that the kernels read.
 *
 * All sets give the same bits: an output is one accumulator that walks k upwards; integer sums are exact;
 * float steps are the same sequence of IEEE operations with every fused multiply-add stated; a reduction
 * over a row uses 16 virtual lanes, folded in one fixed order. The functions are written once, in the files
 * that kernels_body.h includes, over the inline operations that each set's file defines; a set may replace
 * any of them by hand as long as TestSetsGiveTheSameBits passes.
 *
 * Rows are float32, row-major; strides of float rows are in floats, all others in bytes. Nothing
 * allocates, sets errno or keeps state. Pointers do not alias unless said.
 */
#ifndef GSK_KERNELS_H
#define GSK_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h> /* outside every target region: its functions have targets of their own */
#endif

/* Nothing is fused but what says so. gcc never contracts in ISO mode (-std=c11), which cgo lets us ask for. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#elif !defined(__STRICT_ANSI__)
#error "compile with -std=c11: gcc's GNU modes fuse multiplications and additions"
#endif

/* The functions between BEGIN and END may use the named features; all else is for the base processor. */
#define GSK_PRAGMA(x) _Pragma(#x)
#ifdef __clang__
#define GSK_TARGET_BEGIN(features) \
  GSK_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define GSK_TARGET_END GSK_PRAGMA(clang attribute pop)
#else
#define GSK_TARGET_BEGIN(features) GSK_PRAGMA(GCC push_options) GSK_PRAGMA(GCC target(features))
#define GSK_TARGET_END GSK_PRAGMA(GCC pop_options)
#endif

/* Of a set's operations, which are inlined wherever they are used. */
#define GSK_OP static inline __attribute__((always_inline))

#pragma GCC visibility push(hidden)

enum {
  GSK_PANEL = 32,  /* output columns of a panel */
  GSK_LANES = 16,  /* virtual lanes of a reduction */
  GSK_BLOCK = 32,  /* k of a block of most types, and of an activation block in fast precision */
  GSK_JOINED = 64, /* k of two of them under one scale, in fast precision */
  GSK_SLAB = 96,   /* rows that go through a run of row-local steps together: they stay in L2 */
  GSK_ALIGN = 64,  /* bytes; of every buffer and row stride */
  GSK_KEYS = 64,   /* keys whose scores are held together, in attention */
  GSK_GROUP = 32,  /* most queries that go over them together */
  GSK_WORDS_K = 1 << 16, /* longest column of words: packing holds one of float32 */
  GSK_ACTIVATION_MAX =
      32512,          /* int16 activations: 256·127, so that they can be split into two int8 */
  GSK_CODE_ZERO = 128 /* of unsigned codes */
};

/* The packed form of a matrix [n, k]: panels of 32 columns of the output. In a block form each sub-block of
 * k is: codes [sub/unit][32][unit] int8 (4 bits: two such rows share bytes, the earlier in the low nibbles),
 * then scales [32], then mins [32] if any, halves or float32, then for activations of bytes (gsk_takes_bytes) int16
 * sums [32] of the sub-block's codes, for their zero points. Float forms are [k][32]. Words, fast precision's form of
 * types without codes: int16 codes [k/2][32][2], a zero behind an odd k, then float32 scales [32] of the columns. */
typedef enum gsk_storage {
  GSK_CODES8,
  GSK_CODES4,
  GSK_F32,
  GSK_F16,
  GSK_BF16,
  GSK_WORDS
} gsk_storage;

typedef struct gsk_form {
  int32_t storage;    /* gsk_storage */
  int32_t sub_block;  /* codes: 16 or 32; of Q8_0 in fast precision also GSK_JOINED */
  int32_t has_min;    /* codes: value = scale·code + min */
  int32_t half_scale; /* codes: scales and mins are IEEE halves */
  int32_t unit; /* codes: k that lie together, 2 for dot products of int16, 4 for those of bytes */
  int32_t fast; /* codes: the activations are of fast precision */
  int32_t zero; /* what is added to codes: 0, or GSK_CODE_ZERO or gsk_count's for unsigned ones */
  int8_t table[16]; /* CODES4: the number of each nibble */
} gsk_form;

typedef struct gsk_matrix {
  const uint8_t *data;
  int64_t n, k;        /* outputs, inputs */
  int64_t panel_bytes; /* from one panel to the next */
  gsk_form form;
} gsk_matrix;

/* Activations prepared for a matrix: of block forms codes with scales, of float forms the row itself, of words int16
 * codes [k], a zero behind an odd k, and one scale a row. exact: a ≈ scale·code, int16 codes, one scale a row; for a unit
 * of 4 their high and low bytes are apart, [k/32][2][32], and for unsigned codes the low ones are signed, too.
 * fast: a ≈ scale·(code − zero), a scale and a zero per block (gsk_activation_block); code an unsigned byte, for a unit
 * of 2 code − zero as int16, for gsk_count's forms code − 128 as a signed byte. */
typedef struct gsk_rows {
  const void *data;    /* codes or float32 */
  int64_t stride;      /* bytes */
  const float *scales; /* exact and words: [row]; fast: [row][k/block] */
  /* [row][k/block]. Of bytes: each two int16: −zero and 0; for gsk_count's forms 128 − zero, and the sum of the block's
   * codes less their zeros. For unsigned codes: −(their zero)·(sum of the row's block) */
  const int32_t *zeros;
  const int32_t *sums; /* [row][k/16]: sums of the codes less their zeros, for mins */
} gsk_rows;

typedef struct gsk_linear {
  const gsk_matrix *w;
  gsk_rows a;
  const float *bias; /* [n] or NULL */
  float *out;        /* [row][n], not aliasing a */
  int64_t out_stride;
  uint8_t *widened; /* room for a panel, gsk_widened_bytes */
} gsk_linear;

/* What its products are of: floats and codes are exact's, codes where those before it are of codes; codes of fast are
 * coarser. */
typedef enum gsk_attention_of {
  GSK_OF_FLOATS,
  GSK_OF_CODES,
  GSK_OF_FAST,
  GSK_ATTENTIONS
} gsk_attention_of;

typedef struct gsk_attention {
  const float *qkv; /* first row of the text: q, k, v at columns 0, width, 2·width */
  float *out;       /* first row of the text */
  int64_t stride, out_stride;
  int64_t rows, heads, head_size;
  float scale;
  float *scratch; /* gsk_attention_scratch(rows, head_size) floats, 64-byte aligned */
} gsk_attention;

/* out = layernorm(x + add)·weight + bias; add may be NULL; out may be x or add */
typedef struct gsk_norm {
  const float *x, *add;       /* [rows][n] */
  const float *weight, *bias; /* [n] */
  float *out;                 /* [rows][n] */
  int64_t x_stride, add_stride, out_stride;
  int64_t rows, n;
  float epsilon;
} gsk_norm;

enum { GSK_GELU, GSK_GATED_SILU, GSK_GATED_GELU };

/* What a product is made of: float forms, codes in exact, codes in fast, and in fast types without codes. Attention is
 * GSK_FLOATS or GSK_WORD_PAIRS. */
typedef enum gsk_arithmetic {
  GSK_FLOATS,
  GSK_EXACT_CODES,
  GSK_FAST_CODES,
  GSK_WORD_PAIRS,
  GSK_ARITHMETICS
} gsk_arithmetic;

typedef struct gsk_kernel_set {
  const char *name;
  const char *
      needs; /* processor features in GCC's names, with commas; x86's are what the file is compiled for */
  const char *peaks
      [GSK_ARITHMETICS]; /* the loop (peak_amd64.c) that bounds each arithmetic; NULL: there is none */
  /* rows [r0, r1) × panels [p0, p1) of the product */
  void (*linear)(const gsk_linear *args, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
  int32_t exact_unit; /* gsk_form.unit of exact matrices */
  int32_t fast_unit;  /* of fast ones: 4, or 2 without products of bytes */
  int32_t nibbles;    /* but fast ones have gsk_count's form where their codes let them */
  int32_t widens;     /* codes of 4 bits are multiplied as codes of 8, but for those */
  int32_t q8_zero;    /* gsk_form.zero of those of Q8_0's form (gsk_is_q8), whose unit is 4 then */
  /* for matrices of a form: codes = round(x·(32512/max|x|)), scale = max|x|/32512; zeros of unsigned codes; else sums
   * per 16, or NULL */
  void (*prepare_exact)(const gsk_form *form, const float *x, int64_t k, void *codes, float *scale,
                        int32_t *zeros, int32_t *sums);
  /* rows, `stride` floats apart, to codes gsk_codes_stride(k) apart for matrices of a form. Per block: q = 255/(hi−lo),
   * zero = round(−lo·q), codes = round(x·q) + zero in 0…255, with hi ≥ 0 ≥ lo; scale = (hi−lo)/255; sums per 16 are of
   * code − zero, or NULL */
  void (*prepare_fast)(const gsk_form *form, const float *x, int64_t stride, int64_t rows,
                       int64_t k, uint8_t *codes, float *scales, int32_t *zeros, int32_t *sums);
  /* codes = round(x·q), scale = 1/q, where no code is above 32512 and |codes| ≤ 46340 (gsk_words_norm) */
  void (*prepare_words)(const float *x, int64_t k, int16_t *codes, float *scale);
  void (*norm)(const gsk_norm *args);
  /* out[j] = f(in[j]) or f(in[j])·in[j+n]; out may be in; fast: GELU within 8e-5 */
  void (*activate)(int kind, const float *in, float *out, int64_t n);
  void (*activate_fast)(int kind, const float *in, float *out, int64_t n);
  /* rotates heads·size columns in place; table: [size/2][2] cos, sin */
  void (*rotate)(float *row, const float *table, int64_t heads, int64_t size);
  /* heads [h0, h1) */
  void (*attention[GSK_ATTENTIONS])(const gsk_attention *args, int64_t h0, int64_t h1);
  /* out = mean over rows of x */
  void (*mean)(const float *x, int64_t stride, int64_t rows, float *out, int64_t n);
} gsk_kernel_set;

extern const gsk_kernel_set gsk_portable;
#if defined(__x86_64__)
extern const gsk_kernel_set gsk_avx2, gsk_avxvnni, gsk_avx512, gsk_avx512vnni, gsk_amx;
#endif
#if defined(__aarch64__)
extern const gsk_kernel_set gsk_neon, gsk_neondot, gsk_neoni8mm;
#endif

static inline int64_t gsk_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* floats that attention needs: keys and values, and a group's queries, results and scores */
static inline int64_t gsk_attention_scratch(int64_t rows, int64_t head_size) {
  int64_t l = gsk_up(rows, GSK_LANES), d = gsk_up(head_size, GSK_LANES);
  return 2 * l * d + GSK_GROUP * (2 * d + GSK_KEYS) + d;
}

/* For sets of nibbles: 4-bit codes that count up by one are their nibbles, unsigned, and are multiplied by bytes. */
static inline void gsk_count(gsk_form *f) {
  for (int i = 0; i < 16; i++)
    if (f->table[i] != f->table[0] + i) return;
  f->unit = 4;
  f->zero = -f->table[0];
  for (int i = 0; i < 16; i++) f->table[i] = (int8_t)i;
}

/* 8-bit codes, blocks of 32 or joined ones, a half as scale */
static inline int gsk_is_q8(const gsk_form *f) {
  return f->storage == GSK_CODES8 && f->sub_block >= GSK_BLOCK && !f->has_min && f->half_scale;
}

/* k that share a zero and in fast precision a scale, of the activations for a form */
static inline int64_t gsk_activation_block(const gsk_form *f) {
  return f->sub_block == GSK_JOINED ? GSK_JOINED : GSK_BLOCK;
}

/* of a column's scale and min of a sub-block */
static inline int64_t gsk_number_bytes(const gsk_form *f) {
  return (f->half_scale ? 2 : 4) * (f->has_min ? 2 : 1);
}

/* whether a form's activations are unsigned bytes with zeros of their own */
static inline int gsk_takes_bytes(const gsk_form *f) { return f->fast && f->unit == 4; }

static inline int64_t gsk_codes_bytes(const gsk_form *f) {
  int64_t codes = f->storage == GSK_CODES4 ? f->sub_block / 2 : f->sub_block;
  return GSK_PANEL * (codes + gsk_number_bytes(f) + (gsk_takes_bytes(f) ? 2 : 0));
}

/* bytes from one row of prepared codes to the next: an odd multiple of 64, so that the rows of a tile do not
 * fall into few sets of the first cache */
static inline int64_t gsk_codes_stride(int64_t k) {
  return (gsk_up(2 * k, GSK_ALIGN) / GSK_ALIGN | 1) * GSK_ALIGN;
}

/* floats from one row of a slot to the next, for the same reason an odd multiple of 64 bytes: of 3072 and more floats
 * the products of 12 rows a tile took twice the time else */
static inline int64_t gsk_floats_stride(int64_t columns) {
  return (gsk_up(columns, GSK_LANES) / GSK_LANES | 1) * GSK_LANES;
}

/* The Euclidean norm that codes of words are scaled to, k numbers before they are rounded. By Cauchy and Schwarz no
 * sum of products, also of a part, is above |a|·|w|, so norms of at most 46340 = ⌊√(2^31 − 1)⌋ keep it in int32.
 * Rounding adds at most √k/2; what is left, 340 + √k/2, is far above float32's error, which is below 6 up to
 * GSK_WORDS_K: each of 16 lanes adds k/16 squares. */
static inline float gsk_words_norm(int64_t k) { return 46000.0f - __builtin_sqrtf((float)k); }

static inline int64_t gsk_panel_bytes(const gsk_form *f, int64_t k) {
  switch (f->storage) {
  case GSK_F32: return 4 * GSK_PANEL * k;
  case GSK_F16:
  case GSK_BF16: return 2 * GSK_PANEL * k;
  case GSK_WORDS: return 2 * GSK_PANEL * gsk_up(k, 2) + 4 * GSK_PANEL;
  }
  return k / f->sub_block * gsk_codes_bytes(f);
}

/* the form of a panel of 4-bit codes that were widened to 8 bits */
static inline gsk_form gsk_widened(const gsk_form *f) {
  gsk_form wide = *f;
  wide.storage = GSK_CODES8;
  return wide;
}

/* Whether a set with these fields multiplies a form by way of panels of 8-bit codes. */
static inline int gsk_is_widened(int widens, int nibbles, const gsk_form *f) {
  return widens && f->storage == GSK_CODES4 && !(nibbles && gsk_takes_bytes(f));
}

/* room that a set's product with a matrix needs */
static inline int64_t gsk_widened_bytes(const gsk_kernel_set *set, const gsk_form *f, int64_t k) {
  gsk_form wide = gsk_widened(f);
  return gsk_is_widened(set->widens, set->nibbles, f) ? gsk_panel_bytes(&wide, k) : 0;
}

#pragma GCC visibility pop
#endif
