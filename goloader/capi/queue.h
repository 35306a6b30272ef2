/* The Go side's half of the job queue; JS threads use gs_submit. */
#ifndef GS_QUEUE_H
#define GS_QUEUE_H
#include "gguf_stream.h"
#pragma GCC visibility push(hidden)
gs_job *gs_take(void);       /* blocks; one thread of the core */
void gs_finish(gs_job *job); /* any thread of the core */
void gs_report(gs_job *job, uint64_t loaded, uint64_t total, const char *tensor);
void gs_configure(const gs_settings *settings, gs_counters *counters);
void gs_add_kernel(const char *name, const char *needs, int selected);
#pragma GCC visibility pop
#endif
