#include "library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>

namespace {

// Process-wide state is plain data and leaked on purpose: the core's threads outlive every destructor.
Core instance;
std::atomic<Core *> loaded{nullptr};
pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

constexpr size_t kAddressSpace = size_t{1536} << 20; // what Go's runtime reserves as it starts
constexpr int kThreads = 12;                         // what it and the pool may start at once

struct Load {
  const gs_settings *settings;
  gs_error *error;
  Core *core;
  bool ok;
};

bool fail(gs_error *error, const char *message, const char *detail) {
  error->offset = -1;
  snprintf(error->code, sizeof error->code, "ERR_NATIVE_LOAD");
  snprintf(error->kind, sizeof error->kind, "io");
  error->field[0] = 0;
  snprintf(error->message, sizeof error->message, "%s%s%s", message, *detail ? ": " : "", detail);
  return false;
}

// Go's runtime ends the process when it cannot have its address space or threads: ask first.
bool roomForRuntime(gs_error *error) {
  void *room = mmap(nullptr, kAddressSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
  if (room == MAP_FAILED)
    return fail(error,
                "not enough address space for the core: 1.5 GiB must be reservable (see ulimit -v)",
                "");
  munmap(room, kAddressSpace);
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  pthread_t threads[kThreads];
  int made = 0;
  auto wait = [](void *g) -> void * {
    pthread_mutex_lock(static_cast<pthread_mutex_t *>(g));
    pthread_mutex_unlock(static_cast<pthread_mutex_t *>(g));
    return nullptr;
  };
  pthread_mutex_lock(&gate);
  while (made < kThreads && pthread_create(&threads[made], nullptr, wait, &gate) == 0) made++;
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < made; i++) pthread_join(threads[i], nullptr);
  if (made < kThreads)
    return fail(error, "not enough threads for the core: 12 must be creatable (see ulimit -u)", "");
  return true;
}

bool pathBesideAddon(char *path, size_t size) {
  Dl_info me;
  if (!dladdr(reinterpret_cast<void *>(&loadCore), &me) || !me.dli_fname) return false;
  const char *slash = strrchr(me.dli_fname, '/');
  int n = snprintf(path, size, "%.*slibgguf_stream.so",
                   slash ? static_cast<int>(slash - me.dli_fname + 1) : 0, me.dli_fname);
  return n > 0 && static_cast<size_t>(n) < size;
}

template <class F> bool symbol(void *library, const char *name, F *to, gs_error *error) {
  *to = reinterpret_cast<F>(dlsym(library, name));
  return *to || fail(error, "the core lacks a function; install both files from one package", name);
}

bool openLibrary(Core *c, gs_error *error) {
  char path[4096];
  if (!pathBesideAddon(path, sizeof path))
    return fail(error, "the addon does not know its own folder", "");
  void *l = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!l) return fail(error, "the core cannot be loaded", dlerror());
  return symbol(l, "gs_start", &c->start, error) &&
         symbol(l, "gs_abi_version", &c->abiVersion, error) &&
         symbol(l, "gs_submit", &c->submit, error) && symbol(l, "gs_cancel", &c->cancel, error) &&
         symbol(l, "gs_counters_page", &c->countersPage, error) &&
         symbol(l, "gs_kernels", &c->kernels, error) &&
         symbol(l, "gs_output_free", &c->outputFree, error) &&
         symbol(l, "gs_reply_free", &c->replyFree, error) &&
         symbol(l, "gs_reserve", &c->reserve, error) &&
         symbol(l, "gs_unreserve", &c->unreserve, error);
}

constexpr int kSignals = 32;

// Loading made Go add SA_ONSTACK to the host's handlers and take SIGPIPE and SIGURG. Give the host its own back; SEGV, BUS
// and FPE stay with Go, which forwards what is not its own.
void restoreDispositions(const struct sigaction *before) {
  for (int s = 1; s < kSignals; s++) {
    struct sigaction now;
    if (s == SIGKILL || s == SIGSTOP || s == SIGSEGV || s == SIGBUS || s == SIGFPE ||
        sigaction(s, nullptr, &now))
      continue;
    if (now.sa_handler != before[s].sa_handler || now.sa_flags != before[s].sa_flags)
      sigaction(s, &before[s], nullptr);
  }
}

void *loadThread(void *arg) {
  Load *load = static_cast<Load *>(arg);
  if (!roomForRuntime(load->error)) return nullptr;
  struct sigaction before[kSignals];
  memset(before, 0, sizeof before);
  for (int s = 1; s < kSignals; s++) sigaction(s, nullptr, &before[s]);
  bool opened = openLibrary(load->core, load->error);
  restoreDispositions(before);
  if (!opened) return nullptr;
  gs_settings settings = *load->settings;
  load->ok = load->core->start(&settings, load->error) == 0;
  return nullptr;
}

} // namespace

const Core *core() { return loaded.load(std::memory_order_acquire); }

bool loadCore(const gs_settings &settings, gs_error *error) {
  pthread_mutex_lock(&loading);
  bool ok = core() != nullptr;
  if (!ok) {
    Load load{&settings, error, &instance, false};
    sigset_t all, old;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(
        SIG_SETMASK, &all,
        &old); // the loader, and so every thread of Go's, starts with all signals blocked
    int failed = pthread_create(&thread, nullptr, loadThread, &load);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    if (failed) fail(error, "no thread for loading the core", strerror(failed));
    else pthread_join(thread, nullptr);
    ok = load.ok;
    if (ok) loaded.store(&instance, std::memory_order_release);
  }
  pthread_mutex_unlock(&loading);
  return ok;
}
