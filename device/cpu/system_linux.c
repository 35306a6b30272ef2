#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "system.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

int gsk_usable_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (int)n : 1;
}

/* Linux gives tile registers, 8 KiB that signal frames must hold too, only to processes that ask; it refuses where
 * a thread's alternate signal stack would be too small. */
int gsk_may_use_tiles(void) {
#ifdef SYS_arch_prctl /* x86 has it */
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
  return 0;
#endif
}
