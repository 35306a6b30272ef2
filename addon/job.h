// Jobs on their way to the core and back, and what else an environment has of the core.
#ifndef JOB_H
#define JOB_H
#include <node_api.h>
#include <napi.h>

// Makes what jobs need in this environment; called once per environment.
bool setUpJobs(napi_env env);

// Large results are external ArrayBuffers from here on. Only where the environment ends with the process: a worker's end
// frees their memory, even where ArrayBuffer.prototype.transfer has given it to another thread.
void allowExternal(napi_env env);

// submit(kind, handle, request, texts, callback, progress) → job id
Napi::Value submit(const Napi::CallbackInfo &info);
// cancel(id)
void cancel(const Napi::CallbackInfo &info);
// reserve(bytes, limit) → granted; given back by unreserve, or when the environment ends
Napi::Value reserve(const Napi::CallbackInfo &info);
// unreserve(bytes)
void unreserve(const Napi::CallbackInfo &info);
// stats() → { live, late }
Napi::Value stats(const Napi::CallbackInfo &info);

// Settings for gs_start that carry the callbacks.
struct gs_settings;
void setCallbacks(gs_settings *settings);
#endif
