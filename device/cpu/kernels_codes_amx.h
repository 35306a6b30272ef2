/* Tiles of codes forms by the tile unit; see kernels_linear.h. The unit multiplies [16 rows][≤ 64 bytes] by
 * [≤ 16 units of 4 k][16 columns] into 16 × 16 int32 sums, here one sub-block at a time:
 *
 *   block t ──tile unit──▶ C tiles ──two blocks later──▶ ring in the first cache ──addBlock──▶ float accumulators
 *
 * so that the unit works on two blocks ahead while vectors do the float steps. Exact activations are two tiles, of high
 * and of low bytes, whose sums are joined: the same int32 as every other set's. Q8_0's form has steps of its own, but for
 * columns of few, of an odd number or of very many blocks (kernels_q8_amx_amd64.h).
 *
 * Tile registers: 0…3 sums (of even blocks high, low, of odd ones high, low; fast uses the high), 4 and 5 activations,
 * 6 and 7 codes of even and of odd blocks. */
#define TILE_LOAD(T, P, STRIDE) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #T : : "r"(P), "r"((int64_t)(STRIDE)) : "memory")
#define TILE_STORE(T, P) \
  __asm__ volatile("tilestored %%tmm" #T ", (%0,%1,1)" : : "r"(P), "r"((int64_t)64) : "memory")
#define TILE_ZERO(T) __asm__ volatile("tilezero %%tmm" #T : :)
#define TILE_DOT(OP, C, A, B) __asm__ volatile(OP " %%tmm" #B ", %%tmm" #A ", %%tmm" #C : :)

enum {
  TILE_COLUMNS = 16,
  TILE_SUMS = 16 * TILE_COLUMNS,
  NIBBLE_K = 1024 /* k of codes of 4 bits expanded at once */
};

/* Takes the unit for tiles of `rows` rows of activations and k of a sub-block; tilerelease gives it back. */
GSK_INLINE void tileConfigure(int rows, int k) {
  struct {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } c = {.palette = 1};
  for (int t = 0; t < 8; t++) {
    c.rows[t] = (uint8_t)(t < 6 ? rows : k / 4);
    c.row_bytes[t] = (uint16_t)(t == 4 || t == 5 ? k : 64);
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(c));
}

/* 16 columns of a panel: codes [k/4] rows of 64 bytes, code_stride bytes apart, blocks code_block bytes apart, counted
 * from first_block; numbers of all blocks. */
typedef struct half_panel {
  const uint8_t *codes, *numbers;
  int64_t code_stride, code_block, number_block, first_block;
  int first; /* column in the panel */
} half_panel;

/* The next block t of C tiles HIGH and LOW: what they hold, block t − 2, leaves to the ring first. */
#define TILE_TURN(HIGH, LOW, B)                                                    \
  if (more) {                                                                      \
    TILE_LOAD(4, at, stride);                                                      \
    if (!FAST) TILE_LOAD(5, at + GSK_BLOCK, stride);                               \
    TILE_LOAD(B, h->codes + (t - h->first_block) * h->code_block, h->code_stride); \
  }                                                                                \
  TILE_STORE(HIGH, slot);                                                          \
  TILE_ZERO(HIGH);                                                                 \
  if (more && FAST) TILE_DOT("tdpbusd", HIGH, 4, B);                               \
  if (more && !FAST) TILE_DOT("tdpbssd", HIGH, 4, B);                              \
  if (!FAST) {                                                                     \
    TILE_STORE(LOW, slot + TILE_SUMS);                                             \
    TILE_ZERO(LOW);                                                                \
    if (more) TILE_DOT("tdpbusd", LOW, 5, B);                                      \
  }

/* Blocks [b0, b1) of MR rows × 16 columns; accumulators begin at `from`, or 0 if NULL, and go to `to`, or out if NULL. */
GSK_INLINE void tileBlocks(const gsk_linear *g, const int MR, const int SUB, const int MIN,
                           const int HALF, const int FAST, int64_t row, int64_t p,
                           const half_panel *h, int64_t b0, int64_t b1, const float *from,
                           float *to) {
  int32_t ring[2][2 * TILE_SUMS] __attribute__((aligned(64)));
  const int64_t stride = g->a.stride, activationBlocks = g->w->k / activationBlock(SUB);
  const uint8_t *a = (const uint8_t *)g->a.data + row * stride;
  const int numberBytes = GSK_PANEL * (HALF ? 2 : 4);
  V acc[16];
  GSK_UNROLL for (int i = 0; i < MR; i++) acc[i] = from ? load(from + i * TILE_COLUMNS)
                                                        : set1(0.0f);
  for (int64_t t = b0; t < b1 + 2; t++) {
    int32_t *slot = ring[t & 1];
    const uint8_t *at = a + (FAST ? t * SUB : highByteAt(t * SUB));
    int more = t < b1;
    if (t & 1) {
      TILE_TURN(2, 3, 7)
    } else {
      TILE_TURN(0, 1, 6)
    }
    /* weights of one text come from the third cache, a tile's rows 128 bytes apart: ask for them 6 blocks ahead */
    const uint8_t *ahead = h->codes + (t + 6 - h->first_block) * h->code_block;
    GSK_UNROLL for (int u = 0; u < SUB / 4; u++) __builtin_prefetch(ahead + u * h->code_stride);
    int64_t b = t - 2;
    if (b < b0) continue;
    const uint8_t *numbers = h->numbers + b * h->number_block;
    V s = loadScale(numbers, HALF, h->first), m = s;
    if (MIN) m = loadScale(numbers + numberBytes, HALF, h->first);
    VW columns = zeroI();
    if (FAST) columns = loadSums((const int16_t *)(numbers + numberBytes * (1 + MIN)) + h->first);
    const int32_t *zeros = g->a.zeros + row * activationBlocks + b * SUB / activationBlock(SUB);
    GSK_UNROLL for (int i = 0; i < MR; i++) {
      VI sum = _mm512_load_si512(slot + i * TILE_COLUMNS);
      if (FAST) sum = dot(sum, pair(zeros + i * activationBlocks), columns);
      else
        sum = _mm512_add_epi32(_mm512_slli_epi32(sum, 8),
                               _mm512_load_si512(slot + TILE_SUMS + i * TILE_COLUMNS));
      acc[i] = addBlock(g, SUB, MIN, FAST, row + i, b, toFloat(sum), s, m, acc[i]);
    }
  }
  GSK_UNROLL for (int i = 0; i < MR; i++) {
    if (to) store(to + i * TILE_COLUMNS, acc[i]);
    else finishColumns(g, FAST, row + i, p * GSK_PANEL + h->first, acc[i]);
  }
}

/* Codes of 4 bits of 16 columns, blocks [b0, b1), as bytes [k/4][16][4]. */
GSK_INLINE void expandNibbles(const uint8_t *codes, const int8_t *table, const int SUB,
                              int64_t block_bytes, int64_t b0, int64_t b1, uint8_t *out) {
  for (int64_t b = b0; b < b1; b++)
    for (int u = 0; u < SUB / 8; u++, out += 128) {
      VB lo, hi;
      loadNibbleBytes(codes + b * block_bytes + u * 4 * GSK_PANEL, table, &lo, &hi);
      _mm512_store_si512(out, lo);
      _mm512_store_si512(out + 64, hi);
    }
}

/* Groups of MR rows; the last one begins where it ends with the rows, and computes some of them twice. */
GSK_INLINE void tileRows(const gsk_linear *g, const int MR, const int BITS, const int SUB,
                         const int MIN, const int HALF, const int FAST, int64_t r0, int64_t r1,
                         int64_t p0, int64_t p1) {
  uint8_t bytes[BITS == 4 ? NIBBLE_K * TILE_COLUMNS : 64] __attribute__((aligned(64)));
  float partial[2][BITS == 4 ? GSK_SLAB * TILE_COLUMNS : 16] __attribute__((aligned(64)));
  const gsk_matrix *w = g->w;
  const int64_t blocks = w->k / SUB, block_bytes = w->panel_bytes / blocks;
  tileConfigure(MR, SUB);
  for (int64_t p = p0; p < p1; p++)
    for (int first = 0; first < GSK_PANEL; first += TILE_COLUMNS) {
      const uint8_t *panel = w->data + p * w->panel_bytes;
      half_panel h = {panel + 4 * first,
                      panel + GSK_PANEL * SUB * BITS / 8,
                      4 * GSK_PANEL,
                      block_bytes,
                      block_bytes,
                      0,
                      first};
      if (BITS == 4) h = (half_panel){bytes, h.numbers, 64, 16 * SUB, block_bytes, 0, first};
      for (int64_t b0 = 0, b1; b0 < blocks; b0 = b1) {
        b1 = BITS == 4 && b0 + NIBBLE_K / SUB < blocks ? b0 + NIBBLE_K / SUB : blocks;
        if (BITS == 4) {
          expandNibbles(panel + 4 * first, w->form.table, SUB, block_bytes, b0, b1, bytes);
          h.first_block = b0;
        }
        int turn = (int)(b0 / (NIBBLE_K / SUB) & 1);
        for (int64_t r = r0; r < r1; r += MR) {
          int64_t row = r < r1 - MR ? r : r1 - MR, at = (row - r0) * TILE_COLUMNS;
          tileBlocks(g, MR, SUB, MIN, HALF, FAST, row, p, &h, b0, b1,
                     BITS == 4 && b0 ? partial[turn] + at : NULL,
                     BITS == 4 && b1 < blocks ? partial[!turn] + at : NULL);
        }
      }
    }
  __asm__ volatile("tilerelease" : :);
}

#include "kernels_q8_amx_amd64.h"

GSK_INLINE void codesForm(const gsk_linear *g, const int BITS, const int SUB, const int MIN,
                          const int HALF, const int FAST, int64_t r0, int64_t r1, int64_t p0,
                          int64_t p1) {
  /* rows that stay in the first cache while weights pass; codes of 4 bits are expanded once a slab */
  const int64_t most = BITS == 4 ? GSK_SLAB : 16 * Q8_TILES_MOST;
  /* Q8_0's tiles here are rarely run, and copies take room */
  const int q8 = IS_Q8(BITS, SUB, MIN, HALF);
  for (int64_t r = r0, rows; r < r1; r += rows) {
    rows = r1 - r < most ? r1 - r : most;
#define TILE_SLAB(MR) tileRows(g, MR, BITS, SUB, MIN, HALF, FAST, r, r + rows, p0, p1)
    if (q8 && q8Takes(g, SUB, FAST)) q8Rows(g, SUB, FAST, r, r + rows, p0, p1);
    else if (rows >= 16 && !q8) TILE_SLAB(16);
    else if (rows >= 8 && !q8) TILE_SLAB(8);
    else if (rows >= 4) TILE_SLAB(4);
    else if (rows >= 2 && !q8) TILE_SLAB(2);
    else TILE_SLAB(1);
  }
}
