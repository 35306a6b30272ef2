#include "platform.h"

#include <stdio.h>
#include <windows.h>

namespace platform {

const char *const libraryName = "gguf_stream.dll";

namespace {

SRWLOCK turn = SRWLOCK_INIT;

constexpr DWORD kPath = 32768; // the longest path of Windows

struct Start {
  void (*function)(void *);
  void *argument;
};

DWORD WINAPI startThread(void *s) {
  Start *start = static_cast<Start *>(s);
  start->function(start->argument);
  return 0;
}

Problem lastError(const char *what) {
  static char words[512]; // one thread at a time
  DWORD code = GetLastError();
  int n = snprintf(words, sizeof words, "%s: ", what);
  n += snprintf(words + n, sizeof words - n, "error %lu: ", code);
  DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                FORMAT_MESSAGE_MAX_WIDTH_MASK; // no line breaks
  FormatMessageA(flags, nullptr, code, 0, words + n, sizeof words - n, nullptr);
  return words;
}

// This addon, which stays in the process from here on: Node frees it with its last environment, while threads of the
// core may still call back.
HMODULE pinnedAddon() {
  HMODULE me = nullptr;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     reinterpret_cast<LPCWSTR>(&pinnedAddon), &me);
  return me;
}

} // namespace

Turn::Turn() { AcquireSRWLockExclusive(&turn); }
Turn::~Turn() { ReleaseSRWLockExclusive(&turn); }

Problem roomForRuntime() { return ""; } // there are no limits as ulimit sets them

// There are no signals to block.
Problem runApart(void (*function)(void *), void *argument) {
  Start start{function, argument};
  HANDLE thread = CreateThread(nullptr, 0, startThread, &start, 0, nullptr);
  if (!thread) return lastError("CreateThread");
  WaitForSingleObject(thread, INFINITE);
  CloseHandle(thread);
  return "";
}

// Go's library never goes by itself: it is not unloaded here, and nobody else has its handle.
Problem openLibrary(void **library) {
  static wchar_t path[kPath]; // one thread at a time
  HMODULE me = pinnedAddon();
  DWORD n = me ? GetModuleFileNameW(me, path, kPath) : 0;
  if (n == 0 || n == kPath) return lastError("the addon does not know its own folder");
  while (n > 0 && path[n - 1] != L'\\' && path[n - 1] != L'/') n--;
  for (const char *c = libraryName; n < kPath; c++) {
    path[n++] = static_cast<wchar_t>(*c);
    if (!*c) break;
  }
  // of the system's folders and the library's own, not of the current one
  *library = LoadLibraryExW(path, nullptr,
                            LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
  return *library ? "" : lastError(libraryName);
}

void *symbol(void *library, const char *name) {
  return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(library), name));
}

} // namespace platform
