// The core: loaded once per process from beside this addon, on a thread of its own with every signal
// blocked, and never unloaded.
#ifndef LIBRARY_H
#define LIBRARY_H
#include "gguf_stream.h"

struct Core {
  decltype(&gs_start) start;
  decltype(&gs_submit) submit;
  decltype(&gs_cancel) cancel;
  decltype(&gs_counters_page) countersPage;
  decltype(&gs_kernels) kernels;
  decltype(&gs_output_free) outputFree;
  decltype(&gs_reply_free) replyFree;
  decltype(&gs_reserve) reserve;
  decltype(&gs_unreserve) unreserve;
  decltype(&gs_count_texts) countTexts;
};

// The loaded core, or null before loadCore succeeded. Any thread.
const Core *core();

// Loads and starts the core unless that is done; blocks the JS thread for the load, once a process.
// Returns false with error filled in; a failed load may be tried again unless the library itself started.
bool loadCore(const gs_settings &settings, gs_error *error);
#endif
