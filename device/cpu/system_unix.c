//go:build unix

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* signal masks, in ISO mode and with musl */
#endif
#include "system.h"

#include <pthread.h>
#include <signal.h>

enum { STACK_BYTES = 256 << 10 }; /* no frame is over 64 KiB */

int gsk_start_thread(void *(*run)(void *), void *arg) {
  sigset_t all, old;
  pthread_t thread;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int failed = pthread_create(&thread, &attr, run, arg);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
  return !failed;
}
