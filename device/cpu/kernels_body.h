/* The kernels, written once over a set's inline operations. A set's file defines, before it includes this
 * file inside its target region:
 *
 *   LANES                lanes of a vector: 4, 8 or 16
 *   TILE_ROWS, TILE_VECS rows and vectors (of columns) of a tile of `linear`
 *   ATTEND_ROWS ATTEND_VECS   rows and vectors of a tile of `attention`; rows divide 16, vectors are 1, 2 or 4
 *   V, VI, VW            LANES float32, LANES int32, 2·LANES int16
 *   set1 load store add sub mul div sqrt fmaV(a,b,c)=a·b+c max min round   on V
 *   loadHalf loadBFloat  LANES numbers of 16 bits to V
 *   zeroI toFloat        VI; dot(acc, a, w): acc + pairs of int16 products; pair(p): two int16 everywhere
 *   loadCodes(p)         2·LANES int8 to VW
 *   loadNibbles(p, t, lo, hi)  2·LANES bytes: VW of the low and of the high nibbles through table t
 *   scale2(a, t)         a·2^n of t = 1.5·2^23 + n, where a and the result are normal
 *   sumLanes maxLanes    of V: lane i and lane i + LANES/2, then LANES/4, … 1
 *   transpose(rows)      LANES V, in place
 *   maxRows(rows)        of LANES V; lane i: the largest of rows[i]
 *   selectV(m, a, b)      a where m < 0, else b, by lanes
 *   storePairs(p, a, b)  a and b rounded, as LANES pairs of 16 bits
 *   storeShorts storeBytes storeHighBytes   16 integral numbers of 16/LANES V to memory: 16 bits; for units of 4 the low 8
 *                        of them, and the high 8
 *                        kernels_narrow.h has these stores for sets without instructions for them
 *   SET                  the name of the set, a C identifier
 *   NEEDS PEAKS          gsk_kernel_set.needs and .peaks, without which it runs everywhere and has no loops
 *
 * with WIDENS, instead of loadNibbles,
 *
 *   widenNibbles(p, t, lo, hi)  32 bytes: int8 of the low and of the high nibbles through table t, to memory
 *
 * unless FAST_UNIT is 2,
 *
 *   VQ, VB               four unsigned bytes everywhere, quad(p); 4·LANES int8, loadBytes(p);
 *                        dotBytes(acc, q, w): acc + sums of four products, exact (no saturation on the way)
 *   loadNibbleBytes(p, t, lo, hi)  unless WIDENS; 4·LANES bytes: VB of the low and of the high nibbles through table t
 *   loadSums(p)          LANES int16 to the first of each pair of VW
 *   storeAbove(p, x, q, n, below)   round(x·q) − below of n numbers, 32 or 64, at most 255, as bytes
 *
 * with SPLITS, for which EXACT_UNIT is 4,
 *
 *   storeSplit(p, x, q, most, nearest)   round(x·q) of 32 numbers, at most `most`, as 32 high bytes, which are
 *                        ⌊(code + nearest)/256⌋, and 32 low ones
 *
 * with NIBBLES, for which FAST_UNIT is 2, VQ, VB, quad and storeAbove as above, and
 *
 *   loadCounts(p, lo, hi)  4·LANES bytes: VB of the low and of the high nibbles
 *   dotShort(acc, q, w)  VW acc + sums of two products of nibbles and signed bytes
 *   addPairs(a)          of VW to VI
 *   loadSumsAnd(p, n)    LANES int16, n behind each, to VW
 *   signBytes(p, sums)   32 bytes at p to themselves less 128; before that, two int32 sums of 16
 *
 * and, where the defaults below do not fit, FLOAT_ROWS (rows of a tile of float forms), CODES_ROWS (of exact codes
 * forms; of all codes forms in kernels_codes_bytes_arm64.h), WORDS_ROWS (of words), ATTEND_CODES_VECS (ATTEND_VECS of
 * codes, no more), STEP_VECS (vectors that elementary functions work on at once, 16/LANES or more), EXACT_UNIT and
 * FAST_UNIT (gsk_form.unit of exact and fast matrices), WIDENS (1: a panel of 4-bit codes becomes one of 8-bit codes
 * before it is multiplied), SPLITS (1: there is storeSplit), NIBBLES (1: there are gsk_count's forms, of
 * kernels_codes_nibbles.h), GSK_CODES (the file of the tiles of codes forms), Q8_TILES (of tiles of Q8_0's form in
 * assembly), IN_TURN (kernels_codes.h) and GSK_INLINE.
 */
#include <string.h>

#ifndef GSK_INLINE
#define GSK_INLINE static inline __attribute__((always_inline))
#endif
#ifndef GSK_UNROLL
#define GSK_UNROLL _Pragma("GCC unroll 16")
#endif
#define PARTS (GSK_LANES / LANES)
#ifndef FLOAT_ROWS
#define FLOAT_ROWS (2 * TILE_ROWS) /* half of the accumulators of codes: no integers */
#endif
#ifndef CODES_ROWS
#define CODES_ROWS FLOAT_ROWS
#endif
#ifndef WORDS_ROWS
#define WORDS_ROWS FLOAT_ROWS
#endif
#ifndef ATTEND_CODES_VECS
#define ATTEND_CODES_VECS ATTEND_VECS
#endif
#ifndef STEP_VECS
#define STEP_VECS 4
#endif
#ifndef EXACT_UNIT
#define EXACT_UNIT 2
#endif
#ifndef WIDENS
#define WIDENS 0
#endif
#ifndef FAST_UNIT
#define FAST_UNIT 4
#endif
#ifndef SPLITS
#define SPLITS 0
#endif
#ifndef NIBBLES
#define NIBBLES 0
#endif
#ifndef NEEDS
#define NEEDS ""
#endif
#ifndef PEAKS
#define PEAKS NULL
#endif

/* each file uses those before it */
#include "kernels_numbers.h"
#include "kernels_linear.h"
#include "kernels_rows.h"
#include "kernels_attention.h"

#define GSK_STRING2(x) #x
#define GSK_STRING(x) GSK_STRING2(x)
#define GSK_JOIN2(a, b) a##b
#define GSK_JOIN(a, b) GSK_JOIN2(a, b)
const gsk_kernel_set GSK_JOIN(gsk_, SET) = {
    .name = GSK_STRING(SET),
    .needs = NEEDS,
    .peaks = {PEAKS},
    .linear = linear,
    .exact_unit = EXACT_UNIT,
    .fast_unit = FAST_UNIT,
    .nibbles = NIBBLES,
    .widens = WIDENS,
#ifdef Q8_TILES
    .q8_zero = GSK_CODE_ZERO,
#endif
    .prepare_exact = prepareExact,
    .prepare_fast = prepareFast,
    .prepare_words = prepareWords,
    .norm = norm,
    .activate = activate,
    .activate_fast = activateFast,
    .rotate = rotate,
    .attention = {attendFloats, attendCodes, attendFast},
    .mean = mean,
};
