#include "system.h"

#include <unistd.h>

int gsk_usable_cores(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (int)n : 1;
}

int gsk_may_use_tiles(void) { return 0; } /* no Mac has them */
