#include "detect.h"

#include <string.h>
#include <sys/auxv.h>

enum { DOT_PRODUCT = 1 << 20 }; /* HWCAP_ASIMDDP */

int gsk_has(const char *feature) {
  return !strcmp(feature, "dotprod") && getauxval(AT_HWCAP) & DOT_PRODUCT;
}
