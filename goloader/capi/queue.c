/* JS threads hand over jobs here, in C: they never enter the Go runtime. */
#include "queue.h"
#include "map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KERNELS = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gs_job *head, **tail = &head;

/* A thread of the core that waits for a job. The last to come is the first to go: Go still keeps its processor for it. */
typedef struct waiter {
  struct waiter *below;
  pthread_cond_t called;
  int goes;
} waiter;

static waiter *waiting;
static int waiters;
static int entering; /* a job is taken, or will be by who was called, and gs_entered not yet */

/* Under the lock: calls a waiter if there is a job that may be taken. */
static void call_waiter(void) {
  waiter *w = waiting;
  if (!head || entering || !w) return;
  entering = 1;
  waiting = w->below;
  waiters--;
  w->goes = 1;
  pthread_cond_signal(&w->called); /* not after the lock: w ends with its thread's wait */
}

static gs_settings settings;
static gs_counters *page;
static gs_kernel_info kernels[MAX_KERNELS];
static uint32_t kernel_count, selected_kernel;

void gs_configure(const gs_settings *s, gs_counters *counters) {
  settings = *s;
  page = counters;
}

int gs_add_kernel(const char *name, const char *needs, int selected) {
  if (kernel_count == MAX_KERNELS) return 0;
  gs_kernel_info *k = &kernels[kernel_count];
  if (strlen(name) >= sizeof k->name || strlen(needs) >= sizeof k->needs) return 0;
  strcpy(k->name, name);
  strcpy(k->needs, needs);
  if (selected) selected_kernel = kernel_count;
  kernel_count++;
  return 1;
}

void gs_submit(gs_job *job) {
  job->next = NULL;
  pthread_mutex_lock(&lock);
  *tail = job;
  tail = &job->next;
  call_waiter();
  pthread_mutex_unlock(&lock);
}

static gs_job *pop(void) {
  gs_job *job = head;
  head = job->next;
  if (!head) tail = &head;
  return job;
}

gs_job *gs_take(int spare) {
  pthread_mutex_lock(&lock);
  if (waiters > spare) {
    pthread_mutex_unlock(&lock);
    return NULL;
  }
  if (!head || entering) {
    waiter me = {waiting, PTHREAD_COND_INITIALIZER, 0};
    waiting = &me;
    waiters++;
    while (!me.goes) pthread_cond_wait(&me.called, &lock);
    pthread_cond_destroy(&me.called);
  }
  entering = 1;
  gs_job *job = pop();
  pthread_mutex_unlock(&lock);
  return job;
}

gs_job *gs_take_more(void) {
  pthread_mutex_lock(&lock);
  gs_job *job = head ? pop() : NULL;
  pthread_mutex_unlock(&lock);
  return job;
}

int gs_entered(void) {
  pthread_mutex_lock(&lock);
  int others = waiters;
  entering = 0;
  call_waiter();
  pthread_mutex_unlock(&lock);
  return others;
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
  void *data = size < GS_MAPPED_BYTES ? malloc(size ? size : 1) : gs_map(size);
  if (!data) return 1;
  output->data = data;
  output->size = size;
  __atomic_add_fetch(&page->output, (int64_t)size, __ATOMIC_RELAXED);
  __atomic_add_fetch(&page->regions, 1, __ATOMIC_RELAXED);
  return 0;
}

void gs_output_free(void *data, uint64_t size) {
  if (!data) return;
  if (size < GS_MAPPED_BYTES) free(data);
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

void gs_count_texts(int64_t bytes) { __atomic_add_fetch(&page->staging, bytes, __ATOMIC_RELAXED); }
