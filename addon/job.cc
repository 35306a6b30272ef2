// The addon's half of the boundary (the other is goloader/capi/queue.c): a call of JavaScript's becomes a
// gs_job that owns its memory, and comes back through a threadsafe function. One Environment per
// napi_env: jobs ask it under its lock whether it still lives before they call back, since workers end
// while jobs run. No status is left unchecked: while a worker is being terminated napi calls may fail at
// any point, and results of failed calls are never used.
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <map>
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
  uint32_t pending = 0;          // JS thread: the event loop is kept while > 0
  std::atomic<int> references{1}; // the environment's and one per call
  void release() {
    if (references.fetch_sub(1) == 1) delete this;
  }
};

struct Call {
  gs_job job;
  Environment *environment;
  uint32_t id;
  napi_ref callback;
  napi_ref progress;
  std::atomic<bool> reporting; // a progress message is on its way: later ones only update the numbers
  std::atomic<uint64_t> loadedBytes, totalBytes;
};

enum class Message { finished, progress };
struct Envelope {
  Call *call;
  Message message;
};

std::atomic<long> liveCalls{0}, lateCalls{0};
std::atomic<bool> externalRefused{false};

constexpr uint64_t kExternalBytes = 65536; // smaller results are plain copies

void freeCall(Call *c) {
  free(const_cast<char *>(c->job.request));
  free(const_cast<char *>(c->job.texts));
  free(const_cast<uint64_t *>(c->job.text_ends));
  core()->replyFree(c->job.reply);
  core()->outputFree(c->job.output.data, c->job.output.size);
  c->environment->release();
  delete c;
  liveCalls--;
}

bool send(Call *c, Message m) {
  Environment *e = c->environment;
  Envelope *envelope = new Envelope{c, m};
  std::lock_guard<std::mutex> lock(e->mutex);
  if (e->alive && napi_call_threadsafe_function(e->back, envelope, napi_tsfn_nonblocking) == napi_ok) return true;
  delete envelope;
  return false;
}

// On a thread of the core.
void done(gs_job *job) {
  Call *c = static_cast<Call *>(job->context);
  if (send(c, Message::finished)) return;
  lateCalls++;
  freeCall(c);
}

void progressed(gs_job *job, uint64_t loaded, uint64_t total, gs_str *) {
  Call *c = static_cast<Call *>(job->context);
  c->loadedBytes = loaded;
  c->totalBytes = total;
  if (!c->reporting.exchange(true) && !send(c, Message::progress)) c->reporting = false;
}

void finalizeOutput(napi_env, void *data, void *hint) {
  uint64_t *size = static_cast<uint64_t *>(hint);
  core()->outputFree(data, *size);
  delete size;
}

// The output as an ArrayBuffer: external where it is large and allowed, else a copy.
bool arrayBuffer(napi_env env, gs_output *output, napi_value *value) {
  if (output->size >= kExternalBytes && !externalRefused) {
    uint64_t *size = new uint64_t(output->size);
    if (napi_create_external_arraybuffer(env, output->data, output->size, finalizeOutput, size, value) == napi_ok) {
      output->data = nullptr;
      return true;
    }
    delete size; // Electron, or an environment that goes down
  }
  void *copy = nullptr;
  if (napi_create_arraybuffer(env, output->size, &copy, value) != napi_ok) return false;
  if (output->size) memcpy(copy, output->data, output->size);
  return true;
}

bool setString(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value v;
  return napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &v) == napi_ok && napi_set_named_property(env, object, name, v) == napi_ok;
}

bool errorObject(napi_env env, const gs_error &e, napi_value *object) {
  napi_value offset;
  return napi_create_object(env, object) == napi_ok && setString(env, *object, "code", e.code) &&
         setString(env, *object, "kind", e.kind) && setString(env, *object, "field", e.field) &&
         setString(env, *object, "message", e.message) && napi_create_int64(env, e.offset, &offset) == napi_ok &&
         napi_set_named_property(env, *object, "offset", offset) == napi_ok;
}

bool results(napi_env env, Call *c, napi_value *v) { // error, reply, output
  for (int i = 0; i < 3; i++)
    if (napi_get_undefined(env, &v[i]) != napi_ok) return false;
  gs_job *j = &c->job;
  if (j->status) return errorObject(env, j->error, &v[0]);
  if (j->reply && napi_create_string_utf8(env, j->reply, j->reply_size, &v[1]) != napi_ok) return false;
  return !j->output.data || arrayBuffer(env, &j->output, &v[2]);
}

void callBack(napi_env env, napi_ref function, size_t n, const napi_value *arguments) {
  napi_value receiver, f;
  if (napi_get_undefined(env, &receiver) != napi_ok || napi_get_reference_value(env, function, &f) != napi_ok) return;
  if (napi_call_function(env, receiver, f, n, arguments, nullptr) != napi_pending_exception) return;
  napi_value error; // js/native.js's callbacks do not throw; if one does it is the host's uncaught exception
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void deliverProgress(napi_env env, Call *c) {
  c->reporting = false;
  napi_value v[2];
  if (c->progress && napi_create_int64(env, static_cast<int64_t>(c->loadedBytes.load()), &v[0]) == napi_ok &&
      napi_create_int64(env, static_cast<int64_t>(c->totalBytes.load()), &v[1]) == napi_ok)
    callBack(env, c->progress, 2, v);
}

void deliverResult(napi_env env, Call *c) {
  Environment *e = c->environment;
  {
    std::lock_guard<std::mutex> lock(e->mutex);
    e->calls.erase(c->id);
  }
  if (--e->pending == 0) napi_unref_threadsafe_function(env, e->back);
  napi_value v[3];
  if (results(env, c, v)) callBack(env, c->callback, 3, v);
  napi_delete_reference(env, c->callback);
  if (c->progress) napi_delete_reference(env, c->progress);
  freeCall(c);
}

// On the JS thread; env is null while the queue of an ended environment is drained.
void deliver(napi_env env, napi_value, void *, void *data) {
  Envelope envelope = *static_cast<Envelope *>(data);
  delete static_cast<Envelope *>(data);
  if (envelope.message == Message::progress) {
    if (env) deliverProgress(env, envelope.call);
    return;
  }
  if (!env) {
    freeCall(envelope.call);
    return;
  }
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) {
    freeCall(envelope.call);
    return;
  }
  deliverResult(env, envelope.call);
  napi_close_handle_scope(env, scope);
}

// Added after the threadsafe function, so that it runs before that one's own teardown.
void environmentEnds(void *p) {
  Environment *e = static_cast<Environment *>(p);
  {
    std::lock_guard<std::mutex> lock(e->mutex);
    e->alive = false;
    for (auto &c : e->calls) core()->cancel(&c.second->job); // long jobs end soon; nobody waits for them
    e->calls.clear();
  }
  e->release();
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
    bool ok = napi_get_element(env, array, i, &s) == napi_ok && napi_get_value_string_utf8(env, s, nullptr, 0, &size) == napi_ok;
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
  return true;
}

} // namespace

void setCallbacks(gs_settings *settings) {
  settings->done = done;
  settings->progress = progressed;
}

bool setUpJobs(napi_env env) {
  Environment *e = new Environment();
  napi_value name;
  return napi_create_string_utf8(env, "gguf-stream", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, deliver, &e->back) == napi_ok &&
         napi_unref_threadsafe_function(env, e->back) == napi_ok && napi_set_instance_data(env, e, nullptr, nullptr) == napi_ok &&
         napi_add_env_cleanup_hook(env, environmentEnds, e) == napi_ok;
}

Napi::Value submit(const Napi::CallbackInfo &info) {
  napi_env env = info.Env();
  Environment *e = environmentOf(env);
  if (!core() || !e) throw Napi::Error::New(env, "the core is not loaded");
  Call *c = new Call();
  liveCalls++;
  e->references++;
  c->environment = e;
  c->job.context = c;
  c->job.kind = info[0].As<Napi::Number>().Uint32Value();
  c->job.handle = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  bool ok = true;
  if (info[2].IsString()) ok = (c->job.request = copyUtf8(env, info[2], &c->job.request_size)) != nullptr;
  if (ok && info[3].IsArray()) ok = copyTexts(env, info[3], &c->job);
  ok = ok && napi_create_reference(env, info[4], 1, &c->callback) == napi_ok;
  if (ok && info[5].IsFunction()) {
    ok = napi_create_reference(env, info[5], 1, &c->progress) == napi_ok;
    c->job.wants_progress = 1;
  }
  if (!ok) {
    freeCall(c);
    throw Napi::Error::New(env, "the arguments cannot be copied");
  }
  {
    std::lock_guard<std::mutex> lock(e->mutex);
    while (!++e->nextId || e->calls.count(e->nextId)) {}
    c->id = e->nextId;
    e->calls[c->id] = c;
  }
  uint32_t id = c->id;
  if (e->pending++ == 0) napi_ref_threadsafe_function(env, e->back);
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

Napi::Value stats(const Napi::CallbackInfo &info) {
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("live", static_cast<double>(liveCalls));
  o.Set("late", static_cast<double>(lateCalls));
  return o;
}

void refuseExternal(const Napi::CallbackInfo &info) { externalRefused = info[0].ToBoolean(); }
