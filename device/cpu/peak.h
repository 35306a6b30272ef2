#ifndef GSK_PEAK_H
#define GSK_PEAK_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#pragma GCC visibility push(hidden)
/* Runs a loop of pure arithmetic and returns its operations; 0 when there is no such loop on this processor. */
double gsk_peak_run(const char *name, int64_t rounds);
/* The calling thread's processor time, ns: other processes take none of it away. */
int64_t gsk_thread_time(void);
#pragma GCC visibility pop
#endif
