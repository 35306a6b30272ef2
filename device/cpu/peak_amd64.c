/* Loops that do nothing but one kind of arithmetic in registers: what the processor can do, for benchmarks. */
#include "detect.h"
#include "kernels.h"
#include "peak.h"

#define ALL24 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23"
#define ALL12 "0,1,2,3,4,5,6,7,8,9,10,11"
#define CLOBBER12                                                                          \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13"
#define CLOBBER24                                                                             \
  CLOBBER12, "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", \
      "xmm23"
#define LOOP(NAME, ALL, CLOBBER, BODY, ZERO)                                         \
  static void NAME(int64_t rounds) { /* from zero: denormal numbers would be slow */ \
    __asm__ volatile(".irp r," ALL "\n" ZERO "\n.endr" : : : CLOBBER);               \
    for (int64_t i = 0; i < rounds; i++)                                             \
      __asm__ volatile(".irp r," ALL "\n" BODY "\n.endr" : : : CLOBBER);             \
  }

GSK_TARGET_BEGIN("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")
LOOP(fma512, ALL24, CLOBBER24, "vfmadd231ps %%zmm\\r, %%zmm\\r, %%zmm\\r",
     "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r")
LOOP(words512, ALL24, CLOBBER24, "vpdpwssd %%zmm\\r, %%zmm\\r, %%zmm\\r",
     "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r")
LOOP(bytes512, ALL24, CLOBBER24, "vpdpbusd %%zmm\\r, %%zmm\\r, %%zmm\\r",
     "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r")
LOOP(madd512, ALL12, CLOBBER12,
     "vpmaddwd %%zmm13, %%zmm13, %%zmm12\nvpaddd %%zmm12, %%zmm\\r, %%zmm\\r",
     "vpxord %%zmm\\r, %%zmm\\r, %%zmm\\r")
LOOP(fma256, ALL12, CLOBBER12, "vfmadd231ps %%ymm\\r, %%ymm\\r, %%ymm\\r",
     "vpxor %%ymm\\r, %%ymm\\r, %%ymm\\r")
LOOP(words256, ALL12, CLOBBER12, "%{vex%} vpdpwssd %%ymm\\r, %%ymm\\r, %%ymm\\r",
     "vpxor %%ymm\\r, %%ymm\\r, %%ymm\\r")
LOOP(bytes256, ALL12, CLOBBER12, "%{vex%} vpdpbusd %%ymm\\r, %%ymm\\r, %%ymm\\r",
     "vpxor %%ymm\\r, %%ymm\\r, %%ymm\\r")
LOOP(madd256, ALL12, CLOBBER12,
     "vpmaddwd %%ymm13, %%ymm13, %%ymm12\nvpaddd %%ymm12, %%ymm\\r, %%ymm\\r",
     "vpxor %%ymm\\r, %%ymm\\r, %%ymm\\r")
GSK_TARGET_END

static void tiles(int64_t rounds) {
  struct {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } c = {.palette = 1};
  for (int t = 0; t < 8; t++) c.rows[t] = 16, c.row_bytes[t] = 64;
  __asm__ volatile("ldtilecfg %0" : : "m"(c));
  for (int64_t i = 0; i < rounds; i++)
    __asm__ volatile(".irp r,0,1,2,3\ntdpbusd %%tmm5, %%tmm4, %%tmm\\r\n.endr" : :);
  __asm__ volatile("tilerelease" : :);
}

/* ops: multiplications and additions of a round */
static const struct {
  const char *name, *needs;
  double ops;
  void (*run)(int64_t rounds);
} peaks[] = {
    {"f32 512", "avx512f", 24 * 16 * 2, fma512},
    {"int16 512", "avx512vnni", 24 * 32 * 2, words512},
    {"int8 512", "avx512vnni", 24 * 64 * 2, bytes512},
    {"madd 512", "avx512bw", 12 * 32 * 2, madd512},
    {"f32 256", "fma", 12 * 8 * 2, fma256},
    {"int16 256", "avxvnni", 12 * 16 * 2, words256},
    {"int8 256", "avxvnni", 12 * 32 * 2, bytes256},
    {"madd 256", "avx2", 12 * 16 * 2, madd256},
    {"int8 tiles", "amx-int8", 4 * 16 * 16 * 64 * 2, tiles},
};

double gsk_peak_run(const char *name, int64_t rounds) {
  for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
    if (!strcmp(peaks[i].name, name) && gsk_has(peaks[i].needs)) {
      peaks[i].run(rounds);
      return peaks[i].ops * (double)rounds;
    }
  return 0;
}
