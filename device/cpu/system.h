/* What the device asks of the operating system: one file a system. */
#ifndef GSK_SYSTEM_H
#define GSK_SYSTEM_H
#include <stdint.h>
#pragma GCC visibility push(hidden)
/* Starts a thread with a small stack and every signal blocked; 0 when there are no more. */
int gsk_start_thread(void *(*run)(void *), void *arg);
int gsk_usable_cores(void);  /* those that the process may run on */
int gsk_may_use_tiles(void); /* whether the system lets this process use AMX's tile registers */
#pragma GCC visibility pop
#endif
