#include "detect.h"

#include <string.h>
#include <sys/auxv.h>

/* bits of the auxiliary vector's words, by the kernel's asm/hwcap.h */
static const struct {
  const char *name;
  unsigned long word, bit;
} features[] = {
    {"dotprod", AT_HWCAP, 20}, /* HWCAP_ASIMDDP */
    {"i8mm", AT_HWCAP2, 13},   /* HWCAP2_I8MM */
};

int gsk_has(const char *feature) {
  for (size_t i = 0; i < sizeof features / sizeof *features; i++)
    if (!strcmp(features[i].name, feature))
      return getauxval(features[i].word) >> features[i].bit & 1;
  return 0;
}
