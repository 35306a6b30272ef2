// The addon's half of the boundary (the other is goloader/capi/queue.c): a call of JavaScript's becomes a
// gs_job that owns its memory, and comes back through a threadsafe function. One Environment per
// napi_env: jobs ask it under its lock whether it still lives before they call back, since workers end
// while jobs run. No status is left unchecked: while a worker is being terminated napi calls may fail at
// any point, and results of failed calls are never used.
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "library.h"

namespace {

struct Call;

struct Environment {
  std::mutex mutex;
  bool alive = true;
  napi_threadsafe_function back = nullptr;
  std::map<uint32_t, Call *> calls; // by id; JS thread and the lock
  uint32_t nextId = 0;
  uint32_t pending = 0;           // JS thread: the event loop is kept while > 0
  int64_t reserved = 0;           // JS thread: bytes
  bool external = false;          // JS thread; see allowExternal
  std::atomic<int> references{1}; // the environment's and one per call
  gs_job end = {}; // the last job, which closes what this environment has opened and left open
};

// What is queued for the JS thread is a Message that is part of its Call: a thread of the core allocates nothing.
struct Message {
  Call *call;
  void (*deliver)(napi_env env, Call *c); // env is null when the environment has ended
};

struct Call {
  gs_job job = {};
  Environment *environment = nullptr;
  uint32_t id = 0;
  napi_ref callback = nullptr;
  napi_ref progress = nullptr;
  Message finished, progressed;
  std::atomic<int> references{
      1}; // the job's, until its result is delivered, and one of a progress message on its way
  bool reporting =
      false; // under the environment's lock, as are the numbers: later reports only update them
  uint64_t loadedBytes = 0, totalBytes = 0;
  char tensor[GS_TENSOR_NAME] = {};
};

std::atomic<long> liveCalls{0}, lateCalls{0};
std::atomic<uint64_t> environments{0}; // made so far: their numbers are the owners of jobs

// The last reference submits GS_JOB_END: no open is under way then whose handle nobody would close.
void release(Environment *e) {
  if (e->references.fetch_sub(1) != 1) return;
  if (core()) core()->submit(&e->end);
  else delete e;
}

void release(Call *c) {
  if (c->references.fetch_sub(1) != 1) return;
  free(const_cast<char *>(c->job.request));
  free(const_cast<char *>(c->job.texts));
  core()->countTexts(-static_cast<int64_t>(c->job.texts_size));
  free(const_cast<uint64_t *>(c->job.text_ends));
  core()->replyFree(c->job.reply);
  core()->outputFree(c->job.output.data, c->job.output.size);
  release(c->environment);
  delete c;
  liveCalls--;
}

// Under the environment's lock.
bool send(Environment *e, Message *m) {
  return e->alive && napi_call_threadsafe_function(e->back, m, napi_tsfn_nonblocking) == napi_ok;
}

// On a thread of the core.
void done(gs_job *job) {
  if (job->kind == GS_JOB_END) {
    delete static_cast<Environment *>(job->context);
    return;
  }
  Call *c = static_cast<Call *>(job->context);
  {
    std::lock_guard<std::mutex> lock(c->environment->mutex);
    if (send(c->environment, &c->finished)) return;
  }
  lateCalls++;
  release(c);
}

void progressed(gs_job *job, uint64_t loaded, uint64_t total, gs_str *tensor) {
  Call *c = static_cast<Call *>(job->context);
  std::lock_guard<std::mutex> lock(c->environment->mutex);
  c->loadedBytes = loaded;
  c->totalBytes = total;
  snprintf(c->tensor, sizeof c->tensor, "%s", tensor);
  if (c->reporting || !send(c->environment, &c->progressed)) return;
  c->reporting = true;
  c->references++;
}

void finalizeOutput(napi_env, void *data, void *size) {
  core()->outputFree(data, reinterpret_cast<uintptr_t>(size));
}

// The output as an ArrayBuffer: external where it is large and allowed, else a copy (workers, Electron, or an environment
// that goes down).
bool arrayBuffer(napi_env env, bool external, gs_output *output, napi_value *value) {
  void *size = reinterpret_cast<void *>(static_cast<uintptr_t>(output->size));
  if (external && output->size >= GS_MAPPED_BYTES &&
      napi_create_external_arraybuffer(env, output->data, output->size, finalizeOutput, size,
                                       value) == napi_ok) {
    output->data = nullptr;
    return true;
  }
  void *copy = nullptr;
  if (napi_create_arraybuffer(env, output->size, &copy, value) != napi_ok) return false;
  if (output->size) memcpy(copy, output->data, output->size);
  return true;
}

bool setString(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value v;
  return napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &v) == napi_ok &&
         napi_set_named_property(env, object, name, v) == napi_ok;
}

bool errorObject(napi_env env, const gs_error &e, napi_value *object) {
  napi_value offset;
  return napi_create_object(env, object) == napi_ok && setString(env, *object, "code", e.code) &&
         setString(env, *object, "kind", e.kind) && setString(env, *object, "field", e.field) &&
         setString(env, *object, "message", e.message) &&
         napi_create_int64(env, e.offset, &offset) == napi_ok &&
         napi_set_named_property(env, *object, "offset", offset) == napi_ok;
}

bool results(napi_env env, Call *c, napi_value *v) { // error, reply, output
  for (int i = 0; i < 3; i++)
    if (napi_get_undefined(env, &v[i]) != napi_ok) return false;
  gs_job *j = &c->job;
  if (j->status) return errorObject(env, j->error, &v[0]);
  if (j->reply && napi_create_string_utf8(env, j->reply, j->reply_size, &v[1]) != napi_ok)
    return false;
  return !j->output.data || arrayBuffer(env, c->environment->external, &j->output, &v[2]);
}

// The host has no room for the result: the caller is told so instead of waiting for ever.
bool noRoom(napi_env env, napi_value *v) {
  napi_value pending;
  bool threw = false;
  gs_error e = {-1, "ERR_MEMORY_ALLOCATION", "limit", "output",
                "the host has no memory for the result"};
  if (napi_is_exception_pending(env, &threw) != napi_ok) return false;
  if (threw && napi_get_and_clear_last_exception(env, &pending) != napi_ok) return false;
  return errorObject(env, e, &v[0]) && napi_get_undefined(env, &v[1]) == napi_ok &&
         napi_get_undefined(env, &v[2]) == napi_ok;
}

void callBack(napi_env env, napi_ref function, size_t n, const napi_value *arguments) {
  napi_value receiver, f;
  if (napi_get_undefined(env, &receiver) != napi_ok ||
      napi_get_reference_value(env, function, &f) != napi_ok)
    return;
  if (napi_call_function(env, receiver, f, n, arguments, nullptr) != napi_pending_exception) return;
  napi_value
      error; // js/native.js's callbacks do not throw; if one does it is the host's uncaught exception
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void deliverProgress(napi_env env, Call *c) {
  int64_t numbers[2];
  char tensor[GS_TENSOR_NAME];
  {
    std::lock_guard<std::mutex> lock(c->environment->mutex);
    c->reporting = false;
    numbers[0] = static_cast<int64_t>(c->loadedBytes);
    numbers[1] = static_cast<int64_t>(c->totalBytes);
    memcpy(tensor, c->tensor, sizeof tensor);
  }
  napi_value v[3];
  if (env && napi_create_int64(env, numbers[0], &v[0]) == napi_ok &&
      napi_create_int64(env, numbers[1], &v[1]) == napi_ok &&
      napi_create_string_utf8(env, tensor, NAPI_AUTO_LENGTH, &v[2]) == napi_ok)
    callBack(env, c->progress, 3, v);
  release(c);
}

// Takes the call out of its environment.
void forget(napi_env env, Call *c) {
  {
    std::lock_guard<std::mutex> lock(c->environment->mutex);
    c->environment->calls.erase(c->id);
  }
  for (napi_ref r : {c->callback, c->progress})
    if (r)
      (void)napi_delete_reference(
          env, r); // fails only in an environment that ends, which frees them itself
  release(c);
}

void deliverResult(napi_env env, Call *c) {
  if (!env) {
    release(c);
    return;
  }
  Environment *e = c->environment;
  if (--e->pending == 0)
    (void)napi_unref_threadsafe_function(env, e->back); // fails only while the environment ends
  napi_value v[3];
  if (results(env, c, v) || noRoom(env, v)) callBack(env, c->callback, 3, v);
  forget(env, c);
}

// On the JS thread, within a handle scope of Node's; env is null while the queue of an ended environment is drained.
void deliver(napi_env env, napi_value, void *, void *data) {
  Message *m = static_cast<Message *>(data);
  m->deliver(env, m->call);
}

// Added after the threadsafe function, so that it runs before that one's own teardown.
void environmentEnds(void *p) {
  Environment *e = static_cast<Environment *>(p);
  {
    std::lock_guard<std::mutex> lock(e->mutex);
    e->alive = false;
    for (auto &c : e->calls)
      core()->cancel(&c.second->job); // long jobs end soon; nobody waits for them
    e->calls.clear();
  }
  if (e->reserved) core()->unreserve(e->reserved); // nobody else would
  release(e);
}

Environment *environmentOf(napi_env env) {
  void *e = nullptr;
  return napi_get_instance_data(env, &e) == napi_ok ? static_cast<Environment *>(e) : nullptr;
}

char *copyUtf8(napi_env env, napi_value string, uint64_t *size) {
  size_t n = 0;
  if (napi_get_value_string_utf8(env, string, nullptr, 0, &n) != napi_ok) return nullptr;
  char *text = static_cast<char *>(malloc(n + 1));
  if (text && napi_get_value_string_utf8(env, string, text, n + 1, &n) != napi_ok) {
    free(text);
    return nullptr;
  }
  *size = n;
  return text;
}

// Copies all texts, as UTF-8 with lone surrogates replaced, into memory that the job owns.
bool copyTexts(napi_env env, napi_value array, gs_job *job) {
  uint32_t n = 0;
  if (napi_get_array_length(env, array, &n) != napi_ok) return false;
  uint64_t *ends = static_cast<uint64_t *>(calloc(n + 1, sizeof *ends));
  size_t capacity = 256 * (static_cast<size_t>(n) + 1), used = 0;
  char *texts = static_cast<char *>(malloc(capacity));
  job->text_ends = ends;
  job->texts = texts;
  job->text_count = n;
  if (!ends || !texts) return false;
  for (uint32_t i = 0; i < n; i++) {
    napi_handle_scope scope;
    napi_value s;
    size_t size = 0;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
    bool ok = napi_get_element(env, array, i, &s) == napi_ok &&
              napi_get_value_string_utf8(env, s, nullptr, 0, &size) == napi_ok;
    if (ok && used + size + 1 > capacity) {
      capacity = 2 * (used + size + 1);
      char *grown = static_cast<char *>(realloc(texts, capacity));
      ok = grown != nullptr;
      if (ok) job->texts = texts = grown;
    }
    ok = ok && napi_get_value_string_utf8(env, s, texts + used, size + 1, &size) == napi_ok;
    napi_close_handle_scope(env, scope);
    if (!ok) return false;
    used += size;
    ends[i] = used;
  }
  job->texts_size = used;
  core()->countTexts(static_cast<int64_t>(used));
  return true;
}

} // namespace

void setCallbacks(gs_settings *settings) {
  settings->done = done;
  settings->progress = progressed;
}

bool setUpJobs(napi_env env) {
  Environment *e = new Environment();
  e->end.kind = GS_JOB_END;
  e->end.owner = ++environments;
  e->end.context = e;
  napi_value name;
  return napi_create_string_utf8(env, "gguf-stream", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                         nullptr, deliver, &e->back) == napi_ok &&
         napi_unref_threadsafe_function(env, e->back) == napi_ok &&
         napi_set_instance_data(env, e, nullptr, nullptr) == napi_ok &&
         napi_add_env_cleanup_hook(env, environmentEnds, e) == napi_ok;
}

void allowExternal(napi_env env) {
  if (Environment *e = environmentOf(env)) e->external = true;
}

// Copies the arguments of submit into a call; what was made stays the call's when one fails.
static bool fillIn(const Napi::CallbackInfo &info, Call *c) {
  napi_env env = info.Env();
  c->job.kind = info[0].As<Napi::Number>().Uint32Value();
  if (c->job.kind == GS_JOB_END) return false; // an environment's own, whose context is no call
  c->job.handle = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  if (info[2].IsString() && !(c->job.request = copyUtf8(env, info[2], &c->job.request_size)))
    return false;
  if (info[3].IsArray() && !copyTexts(env, info[3], &c->job)) return false;
  if (napi_create_reference(env, info[4], 1, &c->callback) != napi_ok) return false;
  c->job.wants_progress = info[5].IsFunction();
  return !c->job.wants_progress || napi_create_reference(env, info[5], 1, &c->progress) == napi_ok;
}

// A call under a new id. Throws std::bad_alloc with nothing taken.
static Call *newCall(Environment *e) {
  auto c = std::make_unique<Call>();
  std::lock_guard<std::mutex> lock(e->mutex);
  while (!++e->nextId || e->calls.count(e->nextId)) {}
  e->calls[e->nextId] = c.get();
  c->id = e->nextId;
  c->environment = e;
  c->job.owner = e->end.owner;
  c->job.context = c.get();
  c->finished = {c.get(), deliverResult};
  c->progressed = {c.get(), deliverProgress};
  e->references++;
  liveCalls++;
  return c.release();
}

Napi::Value submit(const Napi::CallbackInfo &info) {
  napi_env env = info.Env();
  Environment *e = environmentOf(env);
  if (!core() || !e) throw Napi::Error::New(env, "the core is not loaded");
  Call *c = newCall(e);
  uint32_t id = c->id; // the call may be over before submit returns
  if (!fillIn(info, c) ||
      (e->pending == 0 && napi_ref_threadsafe_function(env, e->back) != napi_ok)) {
    forget(env, c);
    throw Napi::Error::New(env, "the arguments cannot be copied");
  }
  e->pending++;
  core()->submit(&c->job);
  return Napi::Number::New(env, id);
}

void cancel(const Napi::CallbackInfo &info) {
  Environment *e = environmentOf(info.Env());
  if (!e) return;
  std::lock_guard<std::mutex> lock(e->mutex);
  auto c = e->calls.find(info[0].As<Napi::Number>().Uint32Value());
  if (c != e->calls.end()) core()->cancel(&c->second->job);
}

Napi::Value reserve(const Napi::CallbackInfo &info) {
  Environment *e = environmentOf(info.Env());
  int64_t bytes = info[0].As<Napi::Number>().Int64Value(),
          limit = info[1].As<Napi::Number>().Int64Value();
  bool granted = core() && e && core()->reserve(bytes, limit);
  if (granted) e->reserved += bytes;
  return Napi::Boolean::New(info.Env(), granted);
}

void unreserve(const Napi::CallbackInfo &info) {
  Environment *e = environmentOf(info.Env());
  int64_t bytes = info[0].As<Napi::Number>().Int64Value();
  if (!core() || !e) return;
  core()->unreserve(bytes);
  e->reserved -= bytes;
}

Napi::Value stats(const Napi::CallbackInfo &info) {
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("live", static_cast<double>(liveCalls));
  o.Set("late", static_cast<double>(lateCalls));
  return o;
}
