/* One pool of C threads a process. gsk_pool_run calls fn on up to `threads` threads, the caller's among
 * them, and returns when the caller's and all that have begun are done: fn must be able to do all by itself.
 * Workers spin briefly for the next run, then sleep: no CPU when idle.
 * They are made with every signal blocked (the core's thread that makes them inherits the loader's mask) and
 * compute with the default floating-point environment, whatever the host has set. */
#ifndef GSK_POOL_H
#define GSK_POOL_H
#include <stdint.h>
#pragma GCC visibility push(hidden)
enum { GSK_THREADS = 64 }; /* most of a run */
typedef void (*gsk_task)(void *arg, int thread);
void gsk_pool_run(int threads, gsk_task fn, void *arg);
/* One turn of a loop that waits for another thread: a pause, after many of them the core for others, at last a nap. */
void gsk_relax(int spins);
int64_t gsk_now(void); /* ns of a clock that only goes forward */
#pragma GCC visibility pop
#endif
