/* Q8_0's form by the tile unit, in assembly; see kernels_codes_amx.h, whose steps these are. Products of blocks, each of 16
 * rows and 16 columns, are one stream through all that a call multiplies, so that nothing waits where one tile ends and the
 * next begins. In turn t
 *
 *   block t      activations and codes ──tile unit──▶ C tiles
 *   block t − 2  C tiles ──▶ ring in the first cache
 *   block t − 4  ring ──float steps──▶ accumulators of its tile, zmm16…31
 *
 * The float steps of a few rows stand between any two instructions of the tile unit: one that stores a tile keeps what is
 * behind it from being issued, and while one is under way only one of two ports multiplies 512 bits of floats. So a block
 * takes 65 to 75 cycles in exact and a joined one 85 in fast, where it took 85 and 115 one after another. Compilers bring
 * the rows together, and take vector registers for addresses.
 *
 * A tile's blocks are a chunk of a panel's, so that the codes stay in the first cache for both halves of the panel and all
 * tiles of rows, and the activations for both halves; what is behind them is fetched line by line meanwhile, since the
 * third cache is far. */
/* clang-format off */
/* X for each row: O is 0 or 1, the turn's block of two; I the row's number, ACC its accumulator. */
#define ROWS_0_1(X, O) X(O, "0", "16") X(O, "1", "17")
#define ROWS_2_3(X, O) X(O, "2", "18") X(O, "3", "19")
#define ROWS_4_5(X, O) X(O, "4", "20") X(O, "5", "21")
#define ROWS_6_7(X, O) X(O, "6", "22") X(O, "7", "23")
#define ROWS_8_11(X, O) X(O, "8", "24") X(O, "9", "25") X(O, "10", "26") X(O, "11", "27")
#define ROWS_12_15(X, O) X(O, "12", "28") X(O, "13", "29") X(O, "14", "30") X(O, "15", "31")
#define NO_ROWS(X, O)
#define OF_ROWS(X, LATER, LAST) ROWS_0_1(X, "0") ROWS_2_3(X, "0") ROWS_4_5(X, "0") ROWS_6_7(X, "0") LATER(X, "0") LAST(X, "0")

#define STEP(OPERATION, B, A, TO) OPERATION " " B ", %%zmm" A ", %%zmm" TO "\n\t"
/* Sums of block O in the ring: high ones, and behind them low ones. zmm12 scales of the columns, zmm13 sums of their codes. */
#define RING(O, I) "2048*" O "+64*" I "(%[ready])"
#define EXACT_ROW(O, I, ACC)                                                                       \
  "vpslld $8, " RING(O, I) ", %%zmm0\n\t" STEP("vpaddd", "1024+" RING(O, I), "0", "0")             \
  "vcvtdq2ps %%zmm0, %%zmm0\n\t" STEP("vfmadd231ps", "%%zmm12", "0", ACC)
#define FAST_ROW(O, I, ACC)                                                                        \
  "vmovdqa64 " RING(O, I) ", %%zmm0\n\t"                                                           \
  STEP("vpdpwssd", "128*" O "+4*" I "(%[own])%{1to16%}", "13", "0")                                \
  STEP("vmulps", "128*" O "+64+4*" I "(%[own])%{1to16%}", "12", "1")                               \
  "vcvtdq2ps %%zmm0, %%zmm0\n\t" STEP("vfmadd231ps", "%%zmm1", "0", ACC)

#define UNIT_LOAD(TILE, AT) "tileloadd " AT ", %%tmm" TILE "\n\t"
#define UNIT_STORE(TILE, AT) "tilestored %%tmm" TILE ", " AT "\n\ttilezero %%tmm" TILE "\n\t"
#define UNIT_DOT(OPERATION, SUMS, A, CODES) OPERATION " %%tmm" CODES ", %%tmm" A ", %%tmm" SUMS "\n\t"
#define FETCH(LINES)                                                                               \
  ".set gsk_line, 0\n\t.rept " LINES "\n\tprefetcht0 64*gsk_line(%[fetch])\n\t.set gsk_line, gsk_line+1\n\t.endr\n\t" \
  "add $64*" LINES ", %[fetch]\n\t"

/* A turn. BYTES of a block of the panel, of which the last 128 are scales and sums of codes, in exact 64 of scales. */
#define EXACT_TURN(O, HIGH, LOW, CODES, LINES, LATER, LAST)                                        \
  "vcvtph2ps 1088*" O "(%[numbers]), %%zmm12\n\t"                                                  \
  UNIT_LOAD("4", "64*" O "(%[a],%[stride])") ROWS_0_1(EXACT_ROW, O)                                \
  UNIT_LOAD("5", "64*" O "+32(%[a],%[stride])") ROWS_2_3(EXACT_ROW, O)                             \
  UNIT_LOAD(CODES, "1088*" O "(%[codes],%[unit])") ROWS_4_5(EXACT_ROW, O)                          \
  UNIT_STORE(HIGH, "2048*" O "(%[stored],%[line])") ROWS_6_7(EXACT_ROW, O)                         \
  UNIT_DOT("tdpbssd", HIGH, "4", CODES) LATER(EXACT_ROW, O)                                        \
  UNIT_STORE(LOW, "2048*" O "+1024(%[stored],%[line])")                                            \
  UNIT_DOT("tdpbusd", LOW, "5", CODES) FETCH(LINES) LAST(EXACT_ROW, O)
#define FAST_TURN(O, SUMS, CODES, LINES, BYTES, K)                                                 \
  "vcvtph2ps " BYTES "*" O "(%[numbers]), %%zmm12\n\t"                                             \
  "vpmovsxwd 64+" BYTES "*" O "(%[numbers]), %%zmm13\n\t"                                          \
  UNIT_LOAD("4", K "*" O "(%[a],%[stride])") ROWS_0_1(FAST_ROW, O) ROWS_2_3(FAST_ROW, O)           \
  UNIT_LOAD(CODES, BYTES "*" O "(%[codes],%[unit])") ROWS_4_5(FAST_ROW, O) ROWS_6_7(FAST_ROW, O)   \
  UNIT_STORE(SUMS, "2048*" O "(%[stored],%[line])") ROWS_8_11(FAST_ROW, O)                         \
  UNIT_DOT("tdpbusd", SUMS, "4", CODES) FETCH(LINES) ROWS_12_15(FAST_ROW, O)

#define CLEAR(O, I, ACC) STEP("vpxord", "%%zmm" ACC, ACC, ACC)
#define CONTINUE(O, I, ACC) "vmovaps 64*" I "(%[out]), %%zmm" ACC "\n\t"
#define STORE(O, I, ACC) "vmovups %%zmm" ACC ", (%[out])\n\tadd %[out_stride], %[out]\n\t"
#define EXACT_FINISH(O, I, ACC)                                                                    \
  "vbroadcastss 4*" I "(%[a]), %%zmm0\n\t" STEP("vfmadd213ps", "%%zmm12", "0", ACC) STORE(O, I, ACC)
#define FAST_FINISH(O, I, ACC) STEP("vaddps", "%%zmm12", ACC, ACC) STORE(O, I, ACC)

/* All turns of a tile, two at a time. The last four load another tile's first blocks. */
#define EACH_TURN(TURNS, BYTES, A_BYTES, FINISH, LATER, LAST)                                      \
  __asm__ volatile(                                                                                \
      "cmpb $0, %[begins]\n\tje 1f\n\t" OF_ROWS(CLEAR, LATER, LAST) "jmp 2f\n\t"          \
      "1:\n\t" OF_ROWS(CONTINUE, LATER, LAST)                                                  \
      "2:\n\tcmp $2, %[n]\n\tjne 3f\n\tmov %[next_a], %[a]\n\tmov %[next_codes], %[codes]\n\t"     \
      "3:\n\t" TURNS                                                                               \
      "add $2*" A_BYTES ", %[a]\n\tadd $2*" BYTES ", %[codes]\n\tadd $2*" BYTES ", %[numbers]\n\t" \
      "add $256, %[own]\n\txchg %[ready], %[stored]\n\tdec %[n]\n\tjnz 2b\n\t"                     \
      "mov %[to], %[out]\n\tcmpb $0, %[ends]\n\tjne 4f\n\t" OF_ROWS(STORE, LATER, LAST) "jmp 5f\n\t"                   \
      "4:\n\tmov %[bias], %[a]\n\tvmovups (%[a]), %%zmm12\n\tmov %[scales], %[a]\n\t"              \
      OF_ROWS(FINISH, LATER, LAST)                                                                \
      "5:\n\t"                                                                                     \
      : [a] "+r"(a), [codes] "+r"(codes), [numbers] "+r"(numbers), [own] "+r"(own), [out] "+r"(out), [n] "+r"(n), \
        [ready] "+r"(s->ready), [stored] "+r"(s->stored), [fetch] "+r"(s->fetch)                   \
      : [stride] "r"(s->stride), [unit] "r"((int64_t)(4 * GSK_PANEL)), [line] "r"((int64_t)GSK_ALIGN), \
        [out_stride] "m"(t->out_stride), [begins] "m"(t->begins), [ends] "m"(t->ends), [to] "m"(t->out), [next_a] "m"(t->next_a), \
        [next_codes] "m"(t->next_codes), [bias] "m"(t->bias), [scales] "m"(t->scales)              \
      : "cc", "memory", "xmm0", "xmm1", "xmm12", "xmm13", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", \
        "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31")
/* clang-format on */

enum {
  Q8_CHUNK = 8,    /* blocks of a chunk, or up to twice as many where there are no more */
  Q8_BLOCKS = 128, /* most blocks in fast: room for the rows' own numbers */
  Q8_TILES_MOST = 2
};

/* Of a block in fast, side by side for the rows of a tile. */
typedef struct q8_own {
  int32_t zeros[16];
  float scales[16];
} q8_own;

_Static_assert(GSK_PANEL *(GSK_BLOCK + 2) == 1088 && GSK_PANEL * (GSK_BLOCK + 4) == 1152 &&
                   GSK_PANEL * (GSK_JOINED + 4) == 2176 && sizeof(q8_own) == 128 &&
                   2 * TILE_SUMS * sizeof(int32_t) == 2048,
               "the assembly counts bytes of blocks, of the rows' numbers and of the ring");

/* A tile's part of the stream. */
typedef struct q8_tile {
  const uint8_t *a, *codes, *next_a,
      *next_codes; /* what is loaded: from block 4 on, then of the next tile */
  const uint8_t *numbers;
  const q8_own *own;          /* fast */
  const float *scales, *bias; /* scales of the rows: exact */
  float *held;                /* [16][16]: accumulators from one chunk to the next */
  float *out;                 /* held, but with the last block of the columns */
  int64_t out_stride;         /* bytes */
  int64_t blocks;
  uint8_t begins, ends; /* with the first and with the last block of the columns */
} q8_tile;

typedef struct q8_stream {
  int64_t stride;          /* of activations */
  int32_t *ready, *stored; /* two blocks of the ring each */
  const uint8_t *fetch;
} q8_stream;

/* LINES are fetched in two turns, so that a panel's are when the next one comes. */
#define EXACT_TURNS(FIRST, SECOND, LATER, LAST)                      \
  EACH_TURN(EXACT_TURN("0", "0", "1", "6", FIRST, LATER, LAST)       \
                EXACT_TURN("1", "2", "3", "7", SECOND, LATER, LAST), \
            "1088", "64", EXACT_FINISH, LATER, LAST)
#define FAST_TURNS(BYTES, K, FIRST, SECOND)                                                       \
  EACH_TURN(FAST_TURN("0", "0", "6", FIRST, BYTES, K) FAST_TURN("1", "2", "7", SECOND, BYTES, K), \
            BYTES, K, FAST_FINISH, ROWS_8_11, ROWS_12_15)

GSK_INLINE void q8Turns(const int SUB, const int FAST, int64_t tiles, int64_t rows,
                        const q8_tile *t, q8_stream *s) {
  const uint8_t *a = t->a, *codes = t->codes, *numbers = t->numbers;
  const q8_own *own = t->own;
  float *out = t->held;
  int64_t n = t->blocks / 2;
  if (!FAST) {
    if (tiles > 1) EXACT_TURNS("5", "4", ROWS_8_11, ROWS_12_15);
    else if (rows > 8) EXACT_TURNS("9", "8", ROWS_8_11, ROWS_12_15);
    else EXACT_TURNS("9", "8", NO_ROWS, NO_ROWS);
  } else if (SUB == GSK_BLOCK) {
    FAST_TURNS("1152", "32", "9",
               "9"); /* few matrices: a copy would take more room than it gains */
  } else {
    if (tiles > 1) FAST_TURNS("2176", "64", "9", "8");
    else FAST_TURNS("2176", "64", "17", "17");
  }
}

/* The stream's first four turns, which have no float steps. */
#define PRIME_TURN(T, HIGH, LOW, CODES)                                         \
  TILE_LOAD(4, t->next_a + T * aBytes, s->stride);                              \
  TILE_LOAD(CODES, t->next_codes + T * blockBytes, 4 * GSK_PANEL);              \
  if (T > 1) TILE_STORE(HIGH, s->ready + (T - 2) * 2 * TILE_SUMS);              \
  TILE_ZERO(HIGH);                                                              \
  if (FAST) {                                                                   \
    TILE_DOT("tdpbusd", HIGH, 4, CODES);                                        \
  } else {                                                                      \
    TILE_LOAD(5, t->next_a + T * aBytes + GSK_BLOCK, s->stride);                \
    TILE_DOT("tdpbssd", HIGH, 4, CODES);                                        \
    if (T > 1) TILE_STORE(LOW, s->ready + (T - 2) * 2 * TILE_SUMS + TILE_SUMS); \
    TILE_ZERO(LOW);                                                             \
    TILE_DOT("tdpbusd", LOW, 5, CODES);                                         \
  }
GSK_INLINE void q8Prime(const int SUB, const int FAST, const q8_tile *t, const q8_stream *s) {
  const int aBytes = FAST ? SUB : 2 * SUB, blockBytes = GSK_PANEL * (SUB + (FAST ? 4 : 2));
  PRIME_TURN(0, 0, 1, 6)
  PRIME_TURN(1, 2, 3, 7)
  PRIME_TURN(2, 0, 1, 6)
  PRIME_TURN(3, 2, 3, 7)
}

/* A product's tiles, in this order: tiles of rows, halves of a panel, chunks, panels. */
typedef struct q8_walk {
  int64_t tiles, chunks;
} q8_walk;
typedef struct q8_place {
  int64_t tile, half, chunk, panel;
} q8_place;
GSK_INLINE q8_place nextPlace(const q8_walk *w, q8_place at) {
  if (++at.tile < w->tiles) return at;
  at.tile = 0;
  at.half = !at.half;
  if (at.half || ++at.chunk < w->chunks) return at;
  at.chunk = 0;
  at.panel++;
  return at;
}

/* The numbers of a tile's rows, of which the last stands in for those that are not there, block by block. */
static __attribute__((noinline)) void q8Own(const gsk_linear *g, int64_t row, int64_t rows,
                                            int64_t blocks, q8_own *own) {
  for (int64_t b = 0; b < blocks; b += 16) {
    const int there = blocks - b < 16 ? (int)(blocks - b) : 16;
    const __mmask16 mask = (__mmask16)((1u << there) - 1);
    V zeros[16], scales[16];
    for (int i = 0; i < 16; i++) {
      int64_t number = (row + (i < rows ? i : rows - 1)) * blocks + b;
      zeros[i] = _mm512_castsi512_ps(_mm512_maskz_loadu_epi32(mask, g->a.zeros + number));
      scales[i] = _mm512_maskz_loadu_ps(mask, g->a.scales + number);
    }
    transpose(zeros);
    transpose(scales);
    for (int i = 0; i < there; i++) {
      memcpy(own[b + i].zeros, &zeros[i], sizeof(V));
      store(own[b + i].scales, scales[i]);
    }
  }
}

/* A turn is of two blocks, a tile ends with the first four of the next one, and q8_own has its room on the stack. */
GSK_INLINE int q8Takes(const gsk_linear *g, const int SUB, const int FAST) {
  int64_t blocks = g->w->k / SUB;
  return blocks >= 4 && blocks % 2 == 0 && (!FAST || blocks <= Q8_BLOCKS);
}

/* Rows [r0, r1), at most Q8_TILES_MOST tiles. Of fewer than 16 the tile's other rows are computed of whatever is there, into
 * a copy; else the last tile ends where the rows end, and computes some of them twice. */
GSK_INLINE void q8Rows(const gsk_linear *g, const int SUB, const int FAST, int64_t r0, int64_t r1,
                       int64_t p0, int64_t p1) {
  int32_t ring[4][2 * TILE_SUMS] __attribute__((aligned(64)));
  q8_own own[FAST ? Q8_TILES_MOST : 1][FAST ? Q8_BLOCKS : 1] __attribute__((aligned(64)));
  float held[2][Q8_TILES_MOST][16][TILE_COLUMNS] __attribute__((aligned(64))), scales[16];
  static const float none[TILE_COLUMNS];
  const gsk_matrix *w = g->w;
  const int aBytes = FAST ? SUB : 2 * SUB, blockBytes = GSK_PANEL * (SUB + (FAST ? 4 : 2));
  const int64_t blocks = w->k / SUB, rows = r1 - r0 < 16 ? r1 - r0 : 16;
  const q8_walk walk = {(r1 - r0 + 15) / 16, blocks > Q8_CHUNK ? blocks / Q8_CHUNK : 1};
  int64_t row[Q8_TILES_MOST];
  for (int64_t t = 0; t < walk.tiles; t++) {
    row[t] = r0 + 16 * t < r1 - rows ? r0 + 16 * t : r1 - rows;
    if (FAST) q8Own(g, row[t], rows, blocks, own[t]);
  }
  for (int i = 0; !FAST && i < 16; i++) scales[i] = g->a.scales[r0 + (i < rows ? i : 0)];
  q8_stream s = {g->a.stride, ring[0], ring[2], NULL};
#define Q8_FIRST(CHUNK) (blocks / 2 * (CHUNK) / walk.chunks * 2)
#define Q8_A(P) \
  ((const uint8_t *)g->a.data + row[(P).tile] * s.stride + Q8_FIRST((P).chunk) * aBytes)
#define Q8_CODES(P)                                                          \
  (w->data + (P).panel * w->panel_bytes + Q8_FIRST((P).chunk) * blockBytes + \
   4 * TILE_COLUMNS * (P).half)
  if (p0 >= p1) return; /* there is no block */
  tileConfigure((int)rows, SUB);
  q8_place at = {0, 0, 0, p0};
  q8_tile t = {.next_a = Q8_A(at), .next_codes = Q8_CODES(at)};
  q8Prime(SUB, FAST, &t, &s);
  for (q8_place next; at.panel < p1; at = next) {
    const int64_t first = Q8_FIRST(at.chunk),
                  column = at.panel * GSK_PANEL + TILE_COLUMNS * at.half;
    if (!at.tile && !at.half && !at.chunk) s.fetch = Q8_CODES(at) + 2 * AHEAD;
    t.a = t.next_a + 4 * aBytes;
    t.codes = t.next_codes + 4 * blockBytes;
    t.numbers = t.next_codes + GSK_PANEL * SUB - 2 * TILE_COLUMNS * at.half;
    t.own = own[FAST ? at.tile : 0] + (FAST ? first : 0);
    t.scales = rows < 16 ? scales : g->a.scales + row[at.tile];
    t.bias = g->bias ? g->bias + column : none;
    t.blocks = Q8_FIRST(at.chunk + 1) - first;
    t.begins = !at.chunk;
    t.ends = at.chunk + 1 == walk.chunks;
    t.out = t.held = held[at.half][at.tile][0];
    t.out_stride = TILE_COLUMNS * (int64_t)sizeof(float);
    if (t.ends && rows == 16) {
      t.out = g->out + row[at.tile] * g->out_stride + column;
      t.out_stride = g->out_stride * (int64_t)sizeof(float);
    }
    next = nextPlace(&walk, at);
    if (next.panel < p1)
      t.next_a = Q8_A(next), t.next_codes = Q8_CODES(next); /* else its own again */
    q8Turns(SUB, FAST, walk.tiles, rows, &t, &s);
    for (int64_t i = 0; rows < 16 && t.ends && i < rows; i++)
      store(g->out + (r0 + i) * g->out_stride + column, load(t.held + i * TILE_COLUMNS));
  }
  __asm__ volatile("tilerelease" : :);
}
