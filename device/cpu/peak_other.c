//go:build !amd64

#include "peak.h"

double gsk_peak_run(const char *name, int64_t rounds) {
  (void)name, (void)rounds;
  return 0;
}
