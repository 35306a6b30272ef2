/* fast's tile of Q8_0's form (8-bit codes, blocks of 32, a half as scale) in assembly; see tileCodes in kernels_codes.h,
 * whose steps these are, one by one. Compilers convert all sums of a block first, which then wait for the last products,
 * and copy sums from register to register: gcc 12's tile is 15 % slower. (For exact's tile they find nothing worse.)
 *
 * zmm0…11 sums and zmm12…23 accumulators, a row's two vectors side by side; zmm24, 25 codes or numbers of the columns,
 * zmm26 one of the row, zmm27, 28 scales. A row's activations, zeros and scales, strides apart, are addressed from the
 * first row and from the fourth. */
#define FAST_ROWS_4(X)                                                            \
  X("(%[a])", "(%[z])", "(%[q])", "0", "1", "12", "13", "0")                      \
  X("(%[a],%[s])", "(%[z],%[t])", "(%[q],%[t])", "2", "3", "14", "15", "1")       \
  X("(%[a],%[s],2)", "(%[z],%[t],2)", "(%[q],%[t],2)", "4", "5", "16", "17", "2") \
  X("(%[a4])", "(%[z4])", "(%[q4])", "6", "7", "18", "19", "3")
#define FAST_ROWS_5(X) \
  FAST_ROWS_4(X) X("(%[a4],%[s])", "(%[z4],%[t])", "(%[q4],%[t])", "8", "9", "20", "21", "4")
#define FAST_ROWS_6(X) \
  FAST_ROWS_5(X)       \
  X("(%[a4],%[s],2)", "(%[z4],%[t],2)", "(%[q4],%[t],2)", "10", "11", "22", "23", "5")

/* What is done for a row: A, Z, Q where its numbers are, S its sums, H (held) its accumulators. */
#define FAST_CLEAR(A, Z, Q, S0, S1, H0, H1, ROW)     \
  "vpxord %%zmm" H0 ", %%zmm" H0 ", %%zmm" H0 "\n\t" \
  "vpxord %%zmm" H1 ", %%zmm" H1 ", %%zmm" H1 "\n\t"
#define FAST_START(A, Z, Q, S0, S1, H0, H1, ROW) \
  "vpbroadcastd " Z ", %%zmm26\n\t"              \
  "vpmaddwd %%zmm24, %%zmm26, %%zmm" S0 "\n\t"   \
  "vpmaddwd %%zmm25, %%zmm26, %%zmm" S1 "\n\t"
#define FAST_UNIT(A, Z, Q, S0, S1, H0, H1, ROW) \
  "vpbroadcastd 4*gsk_unit" A ", %%zmm26\n\t"   \
  "vpdpbusd %%zmm24, %%zmm26, %%zmm" S0 "\n\t"  \
  "vpdpbusd %%zmm25, %%zmm26, %%zmm" S1 "\n\t"
#define FAST_ADD(A, Z, Q, S0, S1, H0, H1, ROW)        \
  "vbroadcastss " Q ", %%zmm26\n\t"                   \
  "vmulps %%zmm26, %%zmm24, %%zmm27\n\t"              \
  "vmulps %%zmm26, %%zmm25, %%zmm28\n\t"              \
  "vcvtdq2ps %%zmm" S0 ", %%zmm" S0 "\n\t"            \
  "vcvtdq2ps %%zmm" S1 ", %%zmm" S1 "\n\t"            \
  "vfmadd231ps %%zmm27, %%zmm" S0 ", %%zmm" H0 "\n\t" \
  "vfmadd231ps %%zmm28, %%zmm" S1 ", %%zmm" H1 "\n\t"
#define FAST_STORE(A, Z, Q, S0, S1, H0, H1, ROW)  \
  "vmovaps %%zmm" H0 ", 128*" ROW "(%[held])\n\t" \
  "vmovaps %%zmm" H1 ", 128*" ROW "+64(%[held])\n\t"

/* clang-format off */
/* Lines of weights that a block fetches ahead: one a unit, or, where a panel has so many tiles that it suffices, two. More
 * at a time than they need would wait for one another. */
#define FAST_DENSE "prefetcht0 64*gsk_unit(%[next])\n\t"
#define FAST_SPARSE ".ifeq gsk_unit & 3\n\tprefetcht0 16*gsk_unit(%[next])\n\t.endif\n\t"
#define FAST_TILE(ROWS, FETCH, LINES)                                                              \
  __asm__ volatile(                                                                                \
      ROWS(FAST_CLEAR)                                                                             \
      "1:\n\t"                                                                                     \
      "vpmovsxwd 1088(%[w]), %%zmm24\n\tvpmovsxwd 1120(%[w]), %%zmm25\n\t"                         \
      ROWS(FAST_START)                                                                             \
      ".set gsk_unit, 0\n\t.rept 8\n\t"                                                            \
      FETCH                                                                                        \
      "vmovdqu64 128*gsk_unit(%[w]), %%zmm24\n\tvmovdqu64 128*gsk_unit+64(%[w]), %%zmm25\n\t"      \
      ROWS(FAST_UNIT)                                                                              \
      ".set gsk_unit, gsk_unit+1\n\t.endr\n\t"                                                     \
      "vcvtph2ps 1024(%[w]), %%zmm24\n\tvcvtph2ps 1056(%[w]), %%zmm25\n\t"                         \
      ROWS(FAST_ADD)                                                                               \
      "add $1152, %[w]\n\tadd $64*" LINES ", %[next]\n\tadd $32, %[a]\n\tadd $32, %[a4]\n\t"       \
      "add $4, %[z]\n\tadd $4, %[z4]\n\tadd $4, %[q]\n\tadd $4, %[q4]\n\tdec %[n]\n\tjnz 1b\n\t"   \
      ROWS(FAST_STORE)                                                                             \
      : [a] "+r"(a), [a4] "+r"(a4), [z] "+r"(z), [z4] "+r"(z4), [q] "+r"(q), [q4] "+r"(q4),        \
        [w] "+r"(w), [n] "+r"(n), [next] "+r"(next)                                                \
      : [s] "r"(s), [t] "r"(t), [held] "r"(held)                                                   \
      : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",    \
        "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",   \
        "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28")
/* clang-format on */

/* Whether sumRowsFast does all blocks of a tile of this form. */
#define FAST_ASSEMBLY(MR, BITS, SUB, MIN, HALF) \
  (MR >= 4 && BITS == 8 && SUB == GSK_BLOCK && !MIN && HALF)

/* The accumulators of tile `part` of `parts` of a panel: MR rows, 4…6, from `row` on, and 32 columns. */
GSK_INLINE void sumRowsFast(const gsk_linear *g, const int MR, int64_t row, int64_t p, int64_t part,
                            int64_t parts, tile_sums *held) {
  const uint8_t *w = g->w->data + p * g->w->panel_bytes;
  int64_t n = g->w->k / GSK_BLOCK, s = g->a.stride, t = n * (int64_t)sizeof(float);
  int sparse = 2 * n * parts * GSK_ALIGN >= g->w->panel_bytes;
  const uint8_t *next = fetchOf(g->w, p, part, n * (sparse ? 2 : 8), 0, 0).at;
  const char *a = (const char *)g->a.data + row * s, *a4 = a + 3 * s;
  const char *z = (const char *)g->a.zeros + row * t, *z4 = z + 3 * t;
  const char *q = (const char *)g->a.scales + row * t, *q4 = q + 3 * t;
#define FAST_CASE(MR, ROWS)                        \
  case MR:                                         \
    if (sparse) FAST_TILE(ROWS, FAST_SPARSE, "2"); \
    else FAST_TILE(ROWS, FAST_DENSE, "8");         \
    break;
  switch (MR) {
    FAST_CASE(4, FAST_ROWS_4)
    FAST_CASE(5, FAST_ROWS_5)
    FAST_CASE(6, FAST_ROWS_6)
  }
}
