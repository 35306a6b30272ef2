#include "platform.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace platform {

#ifdef __APPLE__
const char *const libraryName = "libgguf_stream.dylib";
#else
const char *const libraryName = "libgguf_stream.so";
#endif

namespace {

pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

// Go's runtime ends the process when it cannot have what it starts with, or a thread later. So more is asked of the system than
// it took in any trial: 1.5 GiB reserved at the start; 29 threads on two cores, with four models and twenty files at once.
constexpr size_t kAddressSpace = size_t{1792} << 20;
constexpr int kThreads = 32, kMostCores = 32; // and a thread a core
constexpr int kDescriptors = 8;

bool descriptors() {
  int all[kDescriptors];
  int made = 0;
  while (made < kDescriptors && (all[made] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) made++;
  for (int i = 0; i < made; i++) close(all[i]);
  return made == kDescriptors;
}

bool threads() {
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  pthread_t all[kThreads + kMostCores];
  const int wanted = kThreads +
                     static_cast<int>(std::min(sysconf(_SC_NPROCESSORS_ONLN), long{kMostCores}));
  int made = 0;
  auto wait = [](void *g) -> void * {
    pthread_mutex_lock(static_cast<pthread_mutex_t *>(g));
    pthread_mutex_unlock(static_cast<pthread_mutex_t *>(g));
    return nullptr;
  };
  pthread_mutex_lock(&gate);
  while (made < wanted && pthread_create(&all[made], nullptr, wait, &gate) == 0) made++;
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < made; i++) pthread_join(all[i], nullptr);
  return made == wanted;
}

// Keeps this addon in the process for good, too: Node closes it with its last environment, while threads of the core may
// still call back. (On Linux the linker's -z nodelete says the same.)
bool pathBesideAddon(char *path, size_t size) {
  Dl_info me;
  if (!dladdr(reinterpret_cast<void *>(&openLibrary), &me) || !me.dli_fname) return false;
  dlopen(me.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  const char *slash = strrchr(me.dli_fname, '/');
  int n = snprintf(path, size, "%.*s%s", slash ? static_cast<int>(slash - me.dli_fname + 1) : 0,
                   me.dli_fname, libraryName);
  return n > 0 && static_cast<size_t>(n) < size;
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

template <typename... T> Problem inWords(const char *format, T... figures) {
  static thread_local char words[160];
  snprintf(words, sizeof words, format, figures...);
  return words;
}

struct Start {
  void (*function)(void *);
  void *argument;
};

void *startThread(void *s) {
  Start *start = static_cast<Start *>(s);
  start->function(start->argument);
  return nullptr;
}

} // namespace

Turn::Turn() { pthread_mutex_lock(&turn); }
Turn::~Turn() { pthread_mutex_unlock(&turn); }

Problem roomForRuntime() {
  if (!descriptors())
    return inWords("not enough file descriptors for the core: %d must be free (see ulimit -n)",
                   kDescriptors);
  void *room = mmap(nullptr, kAddressSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
  if (room == MAP_FAILED)
    return inWords(
        "not enough address space for the core: %zu MiB must be reservable (see ulimit -v)",
        kAddressSpace >> 20);
  bool enough = threads(); // beside it: their stacks are of the same space
  munmap(room, kAddressSpace);
  if (enough) return "";
  return inWords(
      "not enough threads for the core, or address space for their stacks: %d and one a core "
      "must be creatable (see ulimit -u and -v)",
      kThreads);
}

Problem runApart(void (*function)(void *), void *argument) {
  Start start{function, argument};
  sigset_t all, old;
  pthread_t thread;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int failed = pthread_create(&thread, nullptr, startThread, &start);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (failed) return strerror(failed);
  pthread_join(thread, nullptr);
  return "";
}

Problem openLibrary(void **library) {
  char path[4096];
  if (!pathBesideAddon(path, sizeof path)) return "the addon does not know its own folder";
  struct sigaction before[kSignals];
  memset(before, 0, sizeof before);
  for (int s = 1; s < kSignals; s++) sigaction(s, nullptr, &before[s]);
  *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  restoreDispositions(before);
  return *library ? "" : dlerror();
}

void *symbol(void *library, const char *name) { return dlsym(library, name); }

} // namespace platform
