/* One pool of C threads a process. gsk_pool_run calls fn on up to `threads` threads, the caller's among
 * them, and returns when all are done. Workers spin briefly for the next run, then sleep: no CPU when idle.
 * They are made with every signal blocked (the core's thread that makes them inherits the loader's mask) and
 * compute with the default floating-point environment, whatever the host has set. */
#ifndef GSK_POOL_H
#define GSK_POOL_H
#pragma GCC visibility push(hidden)
typedef void (*gsk_task)(void *arg, int thread);
void gsk_pool_run(int threads, gsk_task fn, void *arg);
int gsk_usable_cores(void);
#pragma GCC visibility pop
#endif
