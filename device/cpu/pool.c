#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pool.h"
#include "system.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
static void relax(void) { _mm_pause(); }
static unsigned float_mode(void) { return _mm_getcsr(); }
static void set_float_mode(unsigned m) { _mm_setcsr(m); }
enum {
  DEFAULT_FLOAT_MODE = 0x1f80
}; /* no flush to zero, round to nearest, all exceptions masked */
#else
static void relax(void) { __asm__ volatile("isb"); } /* as long as x86's pause; yield is no wait */
static unsigned float_mode(void) {
  unsigned long r;
  __asm__ volatile("mrs %0, fpcr" : "=r"(r));
  return (unsigned)r;
}
static void set_float_mode(unsigned m) {
  __asm__ volatile("msr fpcr, %0" : : "r"((unsigned long)m));
}
enum { DEFAULT_FLOAT_MODE = 0 };
#endif

enum {
  SPINS = 2000,   /* pauses: 57 µs on Zen 3; longer spinning hurts where others hold the cores */
  YIELDS = 10000, /* then, some ms where nobody else wants the core; who still waits sleeps */
  NAP_NS = 50000
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* one run at a time */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static atomic_uint generation; /* of runs */
static atomic_int active;      /* workers in the present run */
static int workers;            /* made so far */
static int wanted, joined;     /* workers that may take part in the present run, and that have */
static gsk_task task;
static void *task_arg;

int64_t gsk_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void gsk_relax(int spins) {
  const struct timespec nap = {.tv_nsec = NAP_NS};
  if (spins < SPINS) relax();
  else if (spins < SPINS + YIELDS) sched_yield();
  else nanosleep(&nap, NULL);
}

/* The worker's number in the run, 0 if it has come too late. */
static int join(void) { return joined < wanted ? ++joined : 0; }

static void *worker(void *unused) {
  unsigned seen = 0;
  set_float_mode(DEFAULT_FLOAT_MODE);
  pthread_mutex_lock(&lock);
  for (;;) {
    seen = atomic_load(&generation);
    int me = join();
    if (me) {
      atomic_fetch_add(&active, 1);
      pthread_mutex_unlock(&lock);
      task(task_arg, me);
      pthread_mutex_lock(&lock);
      if (atomic_fetch_sub(&active, 1) == 1) pthread_cond_signal(&finished);
    }
    pthread_mutex_unlock(&lock);
    /* who had no part in this run will hardly have one in the next */
    for (int i = 0;
         me && i < SPINS && atomic_load_explicit(&generation, memory_order_acquire) == seen; i++)
      relax();
    pthread_mutex_lock(&lock);
    while (atomic_load(&generation) == seen) pthread_cond_wait(&wake, &lock);
  }
  return unused;
}

/* Makes missing workers. A system that gives no more threads gets fewer: the run is only slower. */
static void grow(int n) {
  while (workers < n && gsk_start_thread(worker, NULL)) workers++;
}

void gsk_pool_run(int threads, gsk_task fn, void *arg) {
  unsigned mode = float_mode();
  set_float_mode(DEFAULT_FLOAT_MODE);
  if (threads > GSK_THREADS) threads = GSK_THREADS;
  if (threads <= 1) {
    fn(arg, 0);
    set_float_mode(mode);
    return;
  }
  pthread_mutex_lock(&turn);
  pthread_mutex_lock(&lock);
  grow(threads - 1);
  wanted = threads - 1;
  joined = 0;
  task = fn;
  task_arg = arg;
  atomic_fetch_add(&generation, 1);
  for (int i = 0; i < wanted; i++) pthread_cond_signal(&wake); /* not all that were ever made */
  pthread_mutex_unlock(&lock);
  fn(arg, 0);
  for (int i = 0; i < SPINS && atomic_load(&active); i++) relax();
  pthread_mutex_lock(&lock);
  wanted = 0; /* who has not come yet need not come */
  while (atomic_load(&active)) pthread_cond_wait(&finished, &lock);
  pthread_mutex_unlock(&lock);
  pthread_mutex_unlock(&turn);
  set_float_mode(mode);
}
