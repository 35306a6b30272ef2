/* JS threads hand over jobs here, in C: they never enter the Go runtime. */
#include "queue.h"
#include "map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KERNELS = 8, MAPPED_BYTES = 65536 }; /* outputs from here on are mappings of their own */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static gs_job *head, **tail = &head;
static gs_settings settings;
static gs_counters *page;
static gs_kernel_info kernels[MAX_KERNELS];
static uint32_t kernel_count, selected_kernel;

void gs_configure(const gs_settings *s, gs_counters *counters) {
  settings = *s;
  page = counters;
}

void gs_add_kernel(const char *name, const char *needs, int selected) {
  if (kernel_count == MAX_KERNELS) return;
  gs_kernel_info *k = &kernels[kernel_count];
  strncpy(k->name, name, sizeof k->name - 1);
  strncpy(k->needs, needs, sizeof k->needs - 1);
  if (selected) selected_kernel = kernel_count;
  kernel_count++;
}

uint32_t gs_abi_version(void) { return GS_ABI_VERSION; }

void gs_submit(gs_job *job) {
  job->next = NULL;
  pthread_mutex_lock(&lock);
  *tail = job;
  tail = &job->next;
  pthread_cond_signal(&filled);
  pthread_mutex_unlock(&lock);
}

gs_job *gs_take(void) {
  pthread_mutex_lock(&lock);
  while (!head) pthread_cond_wait(&filled, &lock);
  gs_job *job = head;
  head = job->next;
  if (!head) tail = &head;
  pthread_mutex_unlock(&lock);
  return job;
}

void gs_finish(gs_job *job) { settings.done(job); }

void gs_report(gs_job *job, uint64_t loaded, uint64_t total, const char *tensor) {
  settings.progress(job, loaded, total, tensor);
}

void gs_cancel(gs_job *job) { __atomic_store_n(&job->cancelled, 1, __ATOMIC_RELAXED); }

gs_counters *gs_counters_page(void) { return page; }

uint32_t gs_kernels(const gs_kernel_info **sets, uint32_t *selected) {
  *sets = kernels;
  *selected = selected_kernel;
  return kernel_count;
}

int32_t gs_output_new(gs_output *output, uint64_t size) {
  void *data = size < MAPPED_BYTES ? malloc(size ? size : 1) : gs_map(size);
  if (!data) return 1;
  output->data = data;
  output->size = size;
  __atomic_add_fetch(&page->output, (int64_t)size, __ATOMIC_RELAXED);
  __atomic_add_fetch(&page->regions, 1, __ATOMIC_RELAXED);
  return 0;
}

void gs_output_free(void *data, uint64_t size) {
  if (!data) return;
  if (size < MAPPED_BYTES) free(data);
  else gs_unmap(data, size);
  __atomic_sub_fetch(&page->output, (int64_t)size, __ATOMIC_RELAXED);
  __atomic_sub_fetch(&page->regions, 1, __ATOMIC_RELAXED);
}

void gs_reply_free(char *reply) { free(reply); }

int32_t gs_reserve(int64_t bytes, int64_t limit) {
  int64_t have = __atomic_load_n(&page->reserved, __ATOMIC_RELAXED);
  if (bytes > __atomic_load_n(&page->system, __ATOMIC_RELAXED)) return 0;
  do {
    if (bytes < 0 || bytes > limit - have) return 0;
  } while (!__atomic_compare_exchange_n(&page->reserved, &have, have + bytes, 1, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  return 1;
}

void gs_unreserve(int64_t bytes) { __atomic_sub_fetch(&page->reserved, bytes, __ATOMIC_RELAXED); }
