/* Tiles of Q8_0's form (8-bit codes, blocks of 32, a half as scale) in assembly; see tileCodes in kernels_codes.h, whose
 * steps these are, one by one. Compilers convert all sums of a block first, which then wait for the last products, and
 * copy sums from register to register: gcc 12's tiles are 15 % slower. What is not a product is spread over both ports
 * that have 512 bits: vpslld is one's, vpshufb the other's.
 *
 * exact multiplies bytes, too: a = 256·high + low, both signed, and the codes have a zero of 128, so that they are the
 * unsigned factor. Σ a·code = 256·Σ high·(code + 128) + Σ low·(code + 128) − 128·Σ a.
 *
 *   exact, 5 to 8 rows   high bytes, times 256, less 128·Σ a, low bytes: two passes over a block's codes
 *   exact, 1 to 4 rows   both at once, into sums of their own: the chains of fewer sums would wait for their products
 *   fast, 1 to 6 rows    one pass, from −zero·(sum of the column's codes) on; joined blocks are twice as long
 *
 * A row's two vectors of columns are side by side: its sums from zmm0 on, accumulators of rows 0 to 3 in zmm16…23, of 4
 * and 5 in zmm12…15, unless sums are there: those of tiles of 7 and 8 rows lie in memory from row 4 on. Sums of the low
 * bytes of up to 4 rows are in zmm8…15. zmm24, 25 codes or numbers of the columns, zmm26 one of the row. fast: zmm27, 28
 * scales. exact: zmm27 moves bytes up. A row's activations, zeros and scales, strides apart, are addressed from rows 0, 3
 * and 6. */
/* clang-format off */
/* X for each row: where its activations, zeros and scales are, its sums, accumulators, sums of low bytes, and number. LYING
 * for those whose accumulators lie in memory. */
#define ROWS_1(X, LYING) X("(%[a])", "(%[z])", "(%[q])", "0", "1", "16", "17", "8", "9", "0")
#define ROWS_2(X, LYING) ROWS_1(X, LYING) X("(%[a],%[s])", "(%[z],%[t])", "(%[q],%[t])", "2", "3", "18", "19", "10", "11", "1")
#define ROWS_3(X, LYING) ROWS_2(X, LYING) X("(%[a],%[s],2)", "(%[z],%[t],2)", "(%[q],%[t],2)", "4", "5", "20", "21", "12", "13", "2")
#define ROWS_4(X, LYING) ROWS_3(X, LYING) X("(%[a3])", "(%[z3])", "(%[q3])", "6", "7", "22", "23", "14", "15", "3")
#define ROWS_5(X, LYING) ROWS_4(X, LYING) X("(%[a3],%[s])", "(%[z3],%[t])", "(%[q3],%[t])", "8", "9", "12", "13", "", "", "4")
#define ROWS_6(X, LYING) ROWS_5(X, LYING) X("(%[a3],%[s],2)", "(%[z3],%[t],2)", "(%[q3],%[t],2)", "10", "11", "14", "15", "", "", "5")
#define ROWS_7(X, LYING) ROWS_4(X, LYING) LYING("(%[a3],%[s])", "(%[z3],%[t])", "", "8", "9", "", "", "", "", "4") \
  LYING("(%[a3],%[s],2)", "(%[z3],%[t],2)", "", "10", "11", "", "", "", "", "5") LYING("(%[a6])", "(%[z6])", "", "12", "13", "", "", "", "", "6")
#define ROWS_8(X, LYING) ROWS_7(X, LYING) LYING("(%[a6],%[s])", "(%[z6],%[t])", "", "14", "15", "", "", "", "", "7")

/* Steps, and what is done for a row: A, Z, Q where its numbers are, S its sums, H (held) its accumulators, L sums of low
 * bytes. A step is "operation b, a, to". In .rept macOS's assembler takes $8 for an argument, but not $(8). */
#define STEP(OPERATION, B, A, TO) OPERATION " " B ", %%zmm" A ", %%zmm" TO "\n\t"
#define CLEAR_TWO(R0, R1) STEP("vpxord", "%%zmm" R0, R0, R0) STEP("vpxord", "%%zmm" R1, R1, R1)
#define SIGNED_CODES(S0, S1) STEP("vpdpbusd", "%%zmm24", "26", S0) STEP("vpdpbusd", "%%zmm25", "26", S1)
#define SIGNED_BYTES(S0, S1) STEP("vpdpbusd", "%%zmm26", "24", S0) STEP("vpdpbusd", "%%zmm26", "25", S1)
#define LOAD_BYTES(A) "vpbroadcastd " A ", %%zmm26\n\t"
#define TO_FLOATS(S0, S1) "vcvtdq2ps %%zmm" S0 ", %%zmm" S0 "\n\tvcvtdq2ps %%zmm" S1 ", %%zmm" S1 "\n\t"
#define STORE(AT, A, H0, H1) "vmovups %%zmm" H0 ", " AT A "\n\tvmovups %%zmm" H1 ", 64+" AT A "\n\t"
#define AT_FIRST(BODY) ".ifeq gsk_unit\n\t" BODY ".endif\n\t"
#define CLEAR(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW) CLEAR_TWO(H0, H1)
#define CLEAR_LYING(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                          \
  CLEAR_TWO(S0, S1) STORE("128*" ROW, "(%[lying])", S0, S1)

#define FAST_START(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                           \
  LOAD_BYTES(Z) STEP("vpmaddwd", "%%zmm24", "26", S0) STEP("vpmaddwd", "%%zmm25", "26", S1)
#define FAST_SUM(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW) LOAD_BYTES("4*gsk_unit" A) SIGNED_CODES(S0, S1)
#define FAST_ADD(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                             \
  "vbroadcastss " Q ", %%zmm26\n\t"                                                                \
  STEP("vmulps", "%%zmm26", "24", "27") STEP("vmulps", "%%zmm26", "25", "28")                      \
  TO_FLOATS(S0, S1) STEP("vfmadd231ps", "%%zmm27", S0, H0) STEP("vfmadd231ps", "%%zmm28", S1, H1)
#define FAST_FINISH(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                          \
  STEP("vaddps", "%%zmm24", H0, H0) STEP("vaddps", "%%zmm25", H1, H1) STORE("0", A, H0, H1)

#define EXACT_ZERO(Z, S) "vpaddd " Z "%{1to16%}, %%zmm" S ", %%zmm" S "\n\t"
#define EXACT_UP(S0, S1) "vpslld $(8), %%zmm" S0 ", %%zmm" S0 "\n\t" STEP("vpshufb", "%%zmm27", S1, S1)
#define EXACT_HIGH(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                           \
  AT_FIRST(CLEAR_TWO(S0, S1)) LOAD_BYTES("4*gsk_unit" A) SIGNED_BYTES(S0, S1)
#define EXACT_LOW(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                            \
  AT_FIRST(EXACT_UP(S0, S1) EXACT_ZERO(Z, S0) EXACT_ZERO(Z, S1))                                   \
  LOAD_BYTES("4*gsk_unit+32" A) SIGNED_BYTES(S0, S1)
#define EXACT_BOTH(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                           \
  AT_FIRST(CLEAR_TWO(S0, S1) "vpbroadcastd " Z ", %%zmm" L0 "\n\tvpbroadcastd " Z ", %%zmm" L1 "\n\t") \
  LOAD_BYTES("4*gsk_unit" A) SIGNED_BYTES(S0, S1) LOAD_BYTES("4*gsk_unit+32" A) SIGNED_BYTES(L0, L1)
#define EXACT_JOIN(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                           \
  EXACT_UP(S0, S1) STEP("vpaddd", "%%zmm" L0, S0, S0) STEP("vpaddd", "%%zmm" L1, S1, S1)
#define EXACT_ADD(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                            \
  TO_FLOATS(S0, S1) STEP("vfmadd231ps", "%%zmm24", S0, H0) STEP("vfmadd231ps", "%%zmm25", S1, H1)
#define EXACT_ADD_LYING(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                      \
  TO_FLOATS(S0, S1) STEP("vfmadd213ps", "128*" ROW "(%[lying])", "24", S0)                         \
  STEP("vfmadd213ps", "128*" ROW "+64(%[lying])", "25", S1) STORE("128*" ROW, "(%[lying])", S0, S1)
#define EXACT_FINISH(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                         \
  "vbroadcastss 4*" ROW "(%[w]), %%zmm26\n\t"                                                      \
  STEP("vfmadd213ps", "%%zmm24", "26", H0) STEP("vfmadd213ps", "%%zmm25", "26", H1) STORE("0", A, H0, H1)
#define EXACT_FINISH_LYING(A, Z, Q, S0, S1, H0, H1, L0, L1, ROW)                                   \
  "vmovaps 128*" ROW "(%[lying]), %%zmm" S0 "\n\tvmovaps 128*" ROW "+64(%[lying]), %%zmm" S1 "\n\t" \
  EXACT_FINISH(A, Z, Q, S0, S1, S0, S1, L0, L1, ROW)

#define EACH_UNIT(BODY) ".set gsk_unit, 0\n\t.rept 8\n\t" BODY ".set gsk_unit, gsk_unit+1\n\t.endr\n\t"
#define LOAD_CODES "vmovdqu64 128*gsk_unit(%[w]), %%zmm24\n\tvmovdqu64 128*gsk_unit+64(%[w]), %%zmm25\n\t"
#define LOAD_SCALES(CODES) "vcvtph2ps " CODES "(%[w]), %%zmm24\n\tvcvtph2ps 32+" CODES "(%[w]), %%zmm25\n\t"
/* LINES that 32 k fetch ahead, spread over its UNITS, of which this is number FIRST + gsk_unit: more at a time would
 * wait for one another. */
#define FETCH(LINES, UNITS, FIRST)                                                                 \
  ".set gsk_line, (gsk_unit+" FIRST ")*" LINES "/" UNITS "\n\t"                                    \
  ".rept (gsk_unit+" FIRST "+1)*" LINES "/" UNITS "-(gsk_unit+" FIRST ")*" LINES "/" UNITS "\n\t"  \
  "prefetcht0 64*gsk_line(%[next])\n\t.set gsk_line, gsk_line+1\n\t.endr\n\t"
#define NEXT_UNITS(LINES, CODES, BYTES)                                                            \
  "add $" CODES ", %[w]\n\tadd $64*" LINES ", %[next]\n\tadd $" BYTES ", %[a]\n\tadd $" BYTES ", %[a3]\n\t"
#define NEXT_ZEROS "add $4, %[z]\n\tadd $4, %[z3]\n\t"
/* The rows of the output are addressed as those of the activations were. */
#define LOAD_END                                                                                   \
  "mov %[bias], %[w]\n\tvmovups (%[w]), %%zmm24\n\tvmovups 64(%[w]), %%zmm25\n\t"                  \
  "mov %[out], %[a]\n\tmov %[out_stride], %[s]\n\tlea (%[a],%[s],2), %[a3]\n\tadd %[s], %[a3]\n\t"
#define VECTORS                                                                                    \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
  "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
  "xmm27", "xmm28"

#define FAST_TILE(ROWS, LINES)                                                                     \
  __asm__ volatile(                                                                                \
      ROWS(CLEAR, )                                                                                \
      "1:\n\t"                                                                                     \
      "mov %[codes], %[i]\n\t"                                                                     \
      "vpmovsxwd 64(%[w],%[i]), %%zmm24\n\tvpmovsxwd 96(%[w],%[i]), %%zmm25\n\t"                   \
      ROWS(FAST_START, )                                                                           \
      "2:\n\t"                                                                                     \
      EACH_UNIT(FETCH(LINES, "8", "0") LOAD_CODES ROWS(FAST_SUM, ))                               \
      NEXT_UNITS(LINES, "1024", "32")                                                              \
      "sub $1024, %[i]\n\tjnz 2b\n\t"                                                             \
      LOAD_SCALES("0")                                                                             \
      ROWS(FAST_ADD, )                                                                             \
      NEXT_ZEROS "add $4, %[q]\n\tadd $4, %[q3]\n\tadd $128, %[w]\n\tdec %[n]\n\tjnz 1b\n\t"       \
      LOAD_END                                                                                     \
      ROWS(FAST_FINISH, )                                                                          \
      : [a] "+r"(a), [a3] "+r"(a3), [z] "+r"(z), [z3] "+r"(z3), [q] "+r"(q), [q3] "+r"(q3),        \
        [w] "+r"(w), [n] "+r"(n), [next] "+r"(next), [s] "+r"(s), [i] "=&r"(i)                     \
      : [t] "r"(t), [codes] "m"(codes), [bias] "m"(bias), [out] "m"(out), [out_stride] "m"(out_stride)                 \
      : "cc", "memory", VECTORS)

#define EXACT_TILE_OF(ROWS, LINES, PRODUCTS_OF_A_BLOCK)                                            \
  __asm__ volatile(                                                                                \
      "vbroadcasti32x4 %[up], %%zmm27\n\t"                                                         \
      ROWS(CLEAR, CLEAR_LYING)                                                                     \
      "1:\n\t"                                                                                     \
      PRODUCTS_OF_A_BLOCK                                                                          \
      LOAD_SCALES("1024")                                                                          \
      ROWS(EXACT_ADD, EXACT_ADD_LYING)                                                             \
      NEXT_UNITS(LINES, "1088", "64") NEXT_ZEROS                                                   \
      "add $64, %[a6]\n\tadd $4, %[z6]\n\tdec %[n]\n\tjnz 1b\n\t"                                  \
      LOAD_END                                                                                     \
      "lea (%[a3],%[s],2), %[a6]\n\tadd %[s], %[a6]\n\tmov %[scales], %[w]\n\t"                    \
      ROWS(EXACT_FINISH, EXACT_FINISH_LYING)                                                       \
      : [a] "+r"(a), [a3] "+r"(a3), [a6] "+r"(a6), [z] "+r"(z), [z3] "+r"(z3), [z6] "+r"(z6), [w] "+r"(w), [n] "+r"(n), [next] "+r"(next), \
        [s] "+r"(s)                                                                                \
      : [t] "r"(t), [lying] "r"(lying), [up] "m"(up), [scales] "m"(scales), [bias] "m"(bias),      \
        [out] "m"(out), [out_stride] "m"(out_stride)                                               \
      : "cc", "memory", VECTORS)
#define EXACT_TILE_TWICE(ROWS, LINES)                                                              \
  EXACT_TILE_OF(ROWS, LINES,                                                                       \
      EACH_UNIT(FETCH(LINES, "16", "0") LOAD_CODES ROWS(EXACT_HIGH, EXACT_HIGH))                   \
      EACH_UNIT(FETCH(LINES, "16", "8") LOAD_CODES ROWS(EXACT_LOW, EXACT_LOW)))
#define EXACT_TILE_ONCE(ROWS, LINES)                                                               \
  EXACT_TILE_OF(ROWS, LINES,                                                                       \
      EACH_UNIT(FETCH(LINES, "8", "0") LOAD_CODES ROWS(EXACT_BOTH, ))                              \
      ROWS(EXACT_JOIN, ))
/* clang-format on */

/* Of each block a tile alone fetches all lines, of two tiles each a half, and where many share a panel two suffice. */
#define TILE_CASE(TILE, ALL, MR)             \
  case MR:                                   \
    if (part == ALONE) TILE(ROWS_##MR, ALL); \
    else if (sparse) TILE(ROWS_##MR, "2");   \
    else TILE(ROWS_##MR, "9");               \
    break;

/* Tile `part` of `parts` of a panel: MR rows from `row` on, and 32 columns. */
GSK_INLINE void tileQ8(const gsk_linear *g, const int MR, const int FAST, int64_t row, int64_t p,
                       int64_t part, int64_t parts) {
  static const uint8_t up[16] = {128, 0, 1, 2, 128, 4, 5, 6, 128, 8, 9, 10, 128, 12, 13, 14};
  static const float none[GSK_PANEL];
  const uint8_t *w = g->w->data + p * g->w->panel_bytes;
  const int64_t codes = GSK_PANEL * g->w->form.sub_block, blocks = g->w->k / GSK_BLOCK;
  int64_t n = g->w->k / g->w->form.sub_block, s = g->a.stride, t = n * (int64_t)sizeof(float), i;
  int sparse = 2 * blocks * parts * GSK_ALIGN >= g->w->panel_bytes;
  const uint8_t *next = fetchOf(g->w, p, part, blocks * (sparse ? 2 : 9), 0, 0).at;
  const char *a = (const char *)g->a.data + row * s, *a3 = a + 3 * s, *a6 = a + 6 * s;
  const float *bias = g->bias ? g->bias + p * GSK_PANEL : none;
  const float *out = g->out + row * g->out_stride + p * GSK_PANEL;
  const int64_t out_stride = g->out_stride * (int64_t)sizeof(float);
  const char *z = (const char *)g->a.zeros + row * t, *z3 = z + 3 * t, *z6 = z + 6 * t;
  if (FAST) {
    const char *q = (const char *)g->a.scales + row * t, *q3 = q + 3 * t;
    switch (MR) {
      TILE_CASE(FAST_TILE, "18", 1)
      TILE_CASE(FAST_TILE, "18", 2)
      TILE_CASE(FAST_TILE, "18", 3)
      TILE_CASE(FAST_TILE, "18", 4)
      TILE_CASE(FAST_TILE, "18", 5)
      TILE_CASE(FAST_TILE, "18", 6)
    }
  } else {
    const float *scales = g->a.scales + row;
    float lying[MR > 6 ? MR : 1][TILE_VECS][LANES] __attribute__((aligned(64)));
    switch (MR) {
      TILE_CASE(EXACT_TILE_ONCE, "17", 1)
      TILE_CASE(EXACT_TILE_ONCE, "17", 2)
      TILE_CASE(EXACT_TILE_ONCE, "17", 3)
      TILE_CASE(EXACT_TILE_ONCE, "17", 4)
      TILE_CASE(EXACT_TILE_TWICE, "17", 5)
      TILE_CASE(EXACT_TILE_TWICE, "17", 6)
      TILE_CASE(EXACT_TILE_TWICE, "17", 7)
      TILE_CASE(EXACT_TILE_TWICE, "17", 8)
    }
  }
}

/* Codes x·q of a row, and what the zero of the matrix's codes takes off its products: −128·(sum of each block). A high
 * byte is the nearest one, so that what is left is signed. */
GSK_INLINE void prepareQ8(const float *x, float q, int64_t blocks, uint8_t *row, int32_t *zeros) {
  const VI ones = _mm512_set1_epi16(1);
  for (int64_t b = 0; b < blocks; b += LANES) {
    const int there = blocks - b < LANES ? (int)(blocks - b) : LANES;
    V sums[LANES];
    for (int i = 0; i < LANES; i++) sums[i] = set1(0.0f);
    for (int i = 0; i < there; i++, x += GSK_BLOCK, row += 2 * GSK_BLOCK)
      sums[i] = toFloat(_mm512_madd_epi16(
          storeSplit(row, x, set1(q), set1(GSK_ACTIVATION_MAX), GSK_CODE_ZERO), ones));
    V below = mul(foldRows(add, sums), set1(-(float)GSK_CODE_ZERO));
    _mm512_mask_storeu_epi32(zeros + b, (__mmask16)((1u << there) - 1), _mm512_cvtps_epi32(below));
  }
}
