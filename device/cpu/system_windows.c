#include "system.h"

#include <pthread.h>
#include <windows.h>

enum { STACK_BYTES = 256 << 10 }; /* no frame is over 64 KiB */

/* There are no signals to block. */
int gsk_start_thread(void *(*run)(void *), void *arg) {
  pthread_t thread;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  int failed = pthread_create(&thread, &attr, run, arg);
  pthread_attr_destroy(&attr);
  return !failed;
}

/* Of the process's own group of at most 64 processors. */
int gsk_usable_cores(void) {
  DWORD_PTR process, all;
  if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &all)) return 1;
  int n = __builtin_popcountll(process);
  return n > 0 ? n : 1;
}

/* Windows wants EnableProcessOptionalXStateFeatures and has had AMX on few versions: not used there. */
int gsk_may_use_tiles(void) { return 0; }
