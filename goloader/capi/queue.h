/* The Go side's half of the job queue; JS threads use gs_submit. */
#ifndef GS_QUEUE_H
#define GS_QUEUE_H
#include "gguf_stream.h"
#pragma GCC visibility push(hidden)
/* The next job. Blocks; NULL at once where more than `spare` threads wait already. No other thread gets one before
 * gs_entered: jobs enter the core in the order of the calls. */
gs_job *gs_take(int spare);
gs_job *gs_take_more(void);  /* between the two: another that is there already, NULL if none */
int gs_entered(void);        /* how many threads wait for a job */
void gs_finish(gs_job *job); /* any thread of the core */
void gs_report(gs_job *job, uint64_t loaded, uint64_t total, const char *tensor);
void gs_configure(const gs_settings *settings, gs_counters *counters);
int gs_add_kernel(const char *name, const char *needs,
                  int selected); /* 0 where there is no room for it */
#pragma GCC visibility pop
#endif
