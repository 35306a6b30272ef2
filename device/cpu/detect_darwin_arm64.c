#include "detect.h"

#include <string.h>
#include <sys/sysctl.h>

static const struct {
  const char *name, *key;
} features[] = {
    {"dotprod", "hw.optional.arm.FEAT_DotProd"},
    {"i8mm", "hw.optional.arm.FEAT_I8MM"},
};

int gsk_has(const char *feature) {
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    int has = 0;
    size_t size = sizeof has;
    if (!strcmp(features[i].name, feature))
      return !sysctlbyname(features[i].key, &has, &size, NULL, 0) && has;
  }
  return 0;
}
