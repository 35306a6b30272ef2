#include "detect.h"

#include <string.h>
#include <sys/sysctl.h>

int gsk_has(const char *feature) {
  int has = 0;
  size_t size = sizeof has;
  return !strcmp(feature, "dotprod") &&
         !sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) && has;
}
