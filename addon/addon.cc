// The N-API shim: JavaScript gets opaque numbers, strings and ArrayBuffers, nothing else. Its functions are
// those of gguf_stream.h without the prefix, in camelCase; js/native.js is their only caller. Answers that
// need no work (counters, kernels) are read here, in C++, from what the core has handed over.
#include <napi.h>
#include <stdio.h>

#include "job.h"
#include "library.h"

namespace {

[[noreturn]] void throwError(Napi::Env env, const gs_error &e) {
  Napi::Error error = Napi::Error::New(env, e.message);
  error.Set("code", Napi::String::New(env, e.code));
  error.Set("kind", Napi::String::New(env, e.kind));
  error.Set("field", Napi::String::New(env, e.field));
  error.Set("offset", Napi::Number::New(env, static_cast<double>(e.offset)));
  throw error;
}

// load(kernels, threads, external): whether this environment gets large results as external ArrayBuffers
void load(const Napi::CallbackInfo &info) {
  gs_settings settings = {};
  gs_error error = {};
  settings.abi_version = GS_ABI_VERSION;
  settings.threads = info[1].As<Napi::Number>().Uint32Value();
  snprintf(settings.kernels, sizeof settings.kernels, "%s",
           info[0].As<Napi::String>().Utf8Value().c_str());
  setCallbacks(&settings);
  if (!loadCore(settings, &error)) throwError(info.Env(), error);
  if (info[2].ToBoolean()) allowExternal(info.Env());
}

// counters() → numbers by name; all 0 before the core is loaded
Napi::Value counters(const Napi::CallbackInfo &info) {
  static const gs_counters none = {};
  const gs_counters *page = core() ? core()->countersPage() : &none;
  const struct {
    const char *name;
    const int64_t *value;
  } all[] = {{"weights", &page->weights},   {"activations", &page->activations},
             {"staging", &page->staging},   {"vocab", &page->vocab},
             {"index", &page->index},       {"output", &page->output},
             {"regions", &page->regions},   {"budget", &page->budget},
             {"reserved", &page->reserved}, {"system", &page->system},
             {"goHeap", &page->go_heap},    {"working", &page->working}};
  Napi::Object o = Napi::Object::New(info.Env());
  for (auto &c : all)
    o.Set(c.name, static_cast<double>(__atomic_load_n(c.value, __ATOMIC_RELAXED)));
  return o;
}

// kernels() → { selected, sets: [{ name, needs }] }
Napi::Value kernels(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  const gs_kernel_info *sets = nullptr;
  uint32_t selected = 0, n = core() ? core()->kernels(&sets, &selected) : 0;
  Napi::Object o = Napi::Object::New(env);
  Napi::Array list = Napi::Array::New(env, n);
  for (uint32_t i = 0; i < n; i++) {
    Napi::Object s = Napi::Object::New(env);
    s.Set("name", sets[i].name);
    s.Set("needs", sets[i].needs);
    list.Set(i, s);
  }
  o.Set("selected", n ? Napi::Value(Napi::String::New(env, sets[selected].name)) : env.Undefined());
  o.Set("sets", list);
  return o;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  if (!setUpJobs(env)) throw Napi::Error::New(env, "the environment cannot be set up");
  exports.Set("load", Napi::Function::New(env, load));
  exports.Set("submit", Napi::Function::New(env, submit));
  exports.Set("cancel", Napi::Function::New(env, cancel));
  exports.Set("counters", Napi::Function::New(env, counters));
  exports.Set("kernels", Napi::Function::New(env, kernels));
  exports.Set("reserve", Napi::Function::New(env, reserve));
  exports.Set("unreserve", Napi::Function::New(env, unreserve));
  exports.Set("stats", Napi::Function::New(env, stats));
  return exports;
}

} // namespace

NODE_API_MODULE(gguf_stream, init)
