#include "library.h"

#include <stdio.h>

#include <atomic>

#include "platform.h"

namespace {

// Process-wide state is plain data and leaked on purpose: the core's threads outlive every destructor.
Core instance;
std::atomic<Core *> loaded{nullptr};

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

template <class F> bool symbol(void *library, const char *name, F *to, gs_error *error) {
  *to = reinterpret_cast<F>(platform::symbol(library, name));
  return *to || fail(error, "the core lacks a function; install both files from one package", name);
}

bool openLibrary(Core *c, gs_error *error) {
  void *l = nullptr;
  platform::Problem problem = platform::openLibrary(&l);
  if (!l) return fail(error, "the core cannot be loaded", problem);
  return symbol(l, "gs_start", &c->start, error) && symbol(l, "gs_submit", &c->submit, error) &&
         symbol(l, "gs_cancel", &c->cancel, error) &&
         symbol(l, "gs_counters_page", &c->countersPage, error) &&
         symbol(l, "gs_kernels", &c->kernels, error) &&
         symbol(l, "gs_output_free", &c->outputFree, error) &&
         symbol(l, "gs_reply_free", &c->replyFree, error) &&
         symbol(l, "gs_reserve", &c->reserve, error) &&
         symbol(l, "gs_unreserve", &c->unreserve, error) &&
         symbol(l, "gs_count_texts", &c->countTexts, error);
}

void loadThread(void *arg) {
  Load *load = static_cast<Load *>(arg);
  platform::Problem problem = platform::roomForRuntime();
  if (*problem) {
    fail(load->error, problem, "");
    return;
  }
  if (!openLibrary(load->core, load->error)) return;
  gs_settings settings = *load->settings;
  load->ok = load->core->start(&settings, load->error) == 0;
}

} // namespace

const Core *core() { return loaded.load(std::memory_order_acquire); }

bool loadCore(const gs_settings &settings, gs_error *error) {
  platform::Turn turn;
  if (core()) return true;
  Load load{&settings, error, &instance, false};
  platform::Problem problem = platform::runApart(loadThread, &load);
  if (*problem) return fail(error, "no thread for loading the core", problem);
  if (load.ok) loaded.store(&instance, std::memory_order_release);
  return load.ok;
}
