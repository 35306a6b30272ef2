#include "detect.h"
#include "system.h"

#include <cpuid.h>
#include <string.h>

/* bits of CPUID leaves and of XCR0, which says what registers the system saves */
static const struct {
  const char *name;
  unsigned leaf, sub, reg, bit, xcr0;
} features[] = {
    {"fma", 1, 0, 2, 12, 0x6},          {"f16c", 1, 0, 2, 29, 0x6},
    {"avx2", 7, 0, 1, 5, 0x6},          {"avx512f", 7, 0, 1, 16, 0xe6},
    {"avx512dq", 7, 0, 1, 17, 0xe6},    {"avx512bw", 7, 0, 1, 30, 0xe6},
    {"avx512vl", 7, 0, 1, 31, 0xe6},    {"avx512vnni", 7, 0, 2, 11, 0xe6},
    {"avxvnni", 7, 1, 0, 4, 0x6},       {"amx-tile", 7, 0, 3, 24, 0x600e6},
    {"amx-int8", 7, 0, 3, 25, 0x600e6},
};

static unsigned xcr0(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* OSXSAVE */
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}

int gsk_has(const char *feature) {
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    if (strcmp(features[i].name, feature)) continue;
    unsigned r[4] = {0};
    if (!__get_cpuid_count(features[i].leaf, features[i].sub, &r[0], &r[1], &r[2], &r[3])) return 0;
    if (!(r[features[i].reg] >> features[i].bit & 1) ||
        (xcr0() & features[i].xcr0) != features[i].xcr0)
      return 0;
    return strncmp(feature, "amx-", 4) || gsk_may_use_tiles();
  }
  return 0;
}
