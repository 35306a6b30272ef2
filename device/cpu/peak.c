#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "peak.h"

#include <time.h>

int64_t gsk_thread_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}
