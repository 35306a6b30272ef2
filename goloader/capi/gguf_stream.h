/* The contract between the core (Go, goloader/capi), the addon (C++, addon/) and JavaScript (js/native.js).
 *
 * A JS thread makes a gs_job, fills in its inputs and hands it to gs_submit, which is C and returns at
 * once. A goroutine takes the job, does the work, fills in the results and calls the gs_done that
 * gs_start was given, on a thread of the core; the addon carries the job back to its JS thread. No Go
 * code ever runs on a JS thread: everything here but gs_start and gs_serve is C.
 *
 *   js/native.js ──▶ addon/job.cc ──gs_submit──▶ capi/queue.c ──gs_take──▶ capi/exports.go ──▶ jobs
 *        ▲                │  ▲                                                   │
 *        └── callback ────┘  └────────────── gs_done (threadsafe function) ◀──gs_finish
 *
 * Structured inputs and outputs are JSON (request, reply), texts are UTF-8, vectors and tensors are raw
 * little-endian numbers in an output buffer. Errors cross as code, kind, field, offset, message.
 */
#ifndef GGUF_STREAM_H
#define GGUF_STREAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef _WIN32
#define GS_API __declspec(dllexport)
#else
#define GS_API __attribute__((visibility("default"))) /* all else in the library is hidden */
#endif

/* Raised when anything in this file changes; the addon refuses a core of another number. */
#define GS_ABI_VERSION 7

/* Outputs of so many bytes and more are mappings of their own, which a caller may hold; smaller ones are better copied. */
#define GS_MAPPED_BYTES 65536
/* Bytes of a tensor's name, of a model that was accepted, with its NUL. */
#define GS_TENSOR_NAME 64

typedef const char gs_str; /* a NUL-terminated UTF-8 string (cgo needs a typedef for const) */

/* What went wrong. Fixed arrays: nobody frees anything. Strings are NUL-terminated, cut if too long. */
typedef struct gs_error {
  int64_t offset;     /* absolute byte in the file, -1 if none */
  char code[48];      /* errs.Code, e.g. "ERR_GGUF_TRUNCATED" */
  char kind[16];      /* errs.Kind */
  char field[256];    /* metadata key, tensor or option name, "" if none */
  char message[1024]; /* one line */
} gs_error;

/* What a job asks for. The JSON members of request and reply are listed in goloader/jobs/messages.go. */
typedef enum gs_job_kind {
  GS_JOB_OPEN = 1, /* request: path and load options; reply: handle, info */
  GS_JOB_EMBED =
      2, /* handle, texts; request: call options or empty; output: float32 [texts, dimensions] */
  GS_JOB_TOKENIZE = 3, /* handle, texts; output: uint32 ids of all texts; reply: counts */
  GS_JOB_CLOSE = 4,    /* handle: rejects what is queued, waits for what runs */
  GS_JOB_FILE_OPEN = 5,
  GS_JOB_FILE_METADATA = 6, /* one key, a page of keys, or a page of an array */
  GS_JOB_FILE_TENSORS = 7,  /* a page of tensor infos */
  GS_JOB_FILE_PLAN = 8,     /* the memory plan */
  GS_JOB_FILE_CHUNK = 9,    /* output: at most 65,536 bytes of one tensor */
  GS_JOB_FILE_LOAD = 10,    /* output: one tensor as float32 */
  GS_JOB_FILE_CLOSE = 11,
  GS_JOB_OUTPUT = 13, /* output: so many zeroed bytes, for a result of many jobs */
  GS_JOB_LOOK = 14,   /* looks at what the system leaves: refreshes gs_counters.system */
  GS_JOB_END = 15,    /* closes all that jobs of this owner have opened */
  GS_JOB_VERIFY =
      16, /* request: path; reply: a report on the model, from its header to its vectors */
  GS_JOB_DIAGNOSE = 17, /* reply: the system's limits, the kernel sets and their self-tests */
  GS_JOB_PEAK = 18      /* handle; reply: the processor's peaks and the encoder's shares of them */
} gs_job_kind;

/* Memory for a caller: made by gs_output_new, counted as `output`, freed by gs_output_free on any thread. */
typedef struct gs_output {
  void *data;
  uint64_t size; /* bytes */
} gs_output;

/* One call. The submitter owns the struct and its inputs until gs_done has got it back; the core owns reply and
 * output until then, the submitter afterwards: it frees them with gs_reply_free and gs_output_free. */
typedef struct gs_job {
  struct gs_job *next; /* the queue's */
  void *context;       /* the submitter's; the core does not look at it */
  uint64_t owner;      /* who submits: a number of the submitter's own for each environment */
  uint64_t handle; /* of an embedder or a file: index and generation, never a pointer; 0 if none */
  uint32_t kind;   /* gs_job_kind */
  uint32_t
      cancelled; /* atomic; set to 1 by any thread at any time: the core gives up as soon as it can */
  uint32_t wants_progress; /* 1: gs_progress is called while a GS_JOB_OPEN loads */
  int32_t status;          /* result: 0, or 1 with error filled in */
  const char *request;     /* JSON, may be NULL */
  uint64_t request_size;
  const char *texts; /* all texts, one after another */
  uint64_t texts_size;
  const uint64_t *text_ends; /* [text_count]: where each text ends in texts */
  uint64_t text_count;
  char *reply; /* result: JSON, may be NULL */
  uint64_t reply_size;
  gs_output output; /* result */
  gs_error error;   /* result */
} gs_job;

/* Called on a thread of the core, once for each submitted job. Must not block. */
typedef void (*gs_done)(gs_job *job);
/* Called on a thread of the core while a job that wants progress loads. tensor is valid during the call. */
typedef void (*gs_progress)(gs_job *job, uint64_t loaded_bytes, uint64_t total_bytes,
                            gs_str *tensor);

/* The off-heap page of atomics that Go writes (goloader/memory.Counters) and C reads: bytes by purpose first. */
typedef struct gs_counters {
  int64_t weights, activations, staging, vocab, index, output;
  int64_t regions;  /* live regions and outputs */
  int64_t budget;   /* bytes the monitor grants at most */
  int64_t reserved; /* bytes granted */
  int64_t system;   /* bytes that cgroup, RLIMIT_AS and MemAvailable leave, as of the last look */
  int64_t go_heap;  /* HeapInuse of the Go runtime, as of the last load */
  int64_t working;  /* peak of chunk + decode + staging bytes of the last load */
} gs_counters;

/* A kernel set: needs is "" when the processor can run it, else the missing features, blank-separated. */
typedef struct gs_kernel_info {
  char name[24];
  char needs[104];
} gs_kernel_info;

typedef struct gs_settings {
  uint32_t abi_version; /* GS_ABI_VERSION of the caller */
  uint32_t threads;     /* 0: the usable cores */
  char kernels[24];     /* a kernel set's name, "" for the best */
  gs_done done;
  gs_progress progress;
} gs_settings;

/* Starts the core once per process. Go code: called only on the loader thread, every signal blocked, before
 * anything else; may take milliseconds. Returns 0, or 1 with error filled in. */
GS_API int32_t gs_start(gs_settings *settings, gs_error *error);

/* Instead of gs_start and all below, the core for a process of its own (goloader/process): answers what js/process.js
 * writes to standard input until its end. Go code; returns the exit code. kernels as in gs_settings. */
GS_API int gs_serve(gs_str *kernels);

/* All below is C, may be called on any thread after gs_start, and never blocks. */
GS_API void gs_submit(gs_job *job);
GS_API void gs_cancel(gs_job *job);
GS_API gs_counters *gs_counters_page(void);
/* The kernel sets, best first; *selected is the index of the one in use. Returns their number. */
GS_API uint32_t gs_kernels(const gs_kernel_info **sets, uint32_t *selected);
GS_API int32_t gs_output_new(gs_output *output,
                             uint64_t size); /* 0, or 1 when there is no memory */
GS_API void gs_output_free(void *data, uint64_t size);
GS_API void gs_reply_free(char *reply);
/* Reserves bytes against a limit and what the system leaves (MemoryMonitor.tryAllocate): 1 if granted. gs_unreserve
 * gives them back. */
GS_API int32_t gs_reserve(int64_t bytes, int64_t limit);
GS_API void gs_unreserve(int64_t bytes);
/* Counts bytes of texts that the submitter holds for jobs as `staging`; negative ones are gone. */
GS_API void gs_count_texts(int64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
