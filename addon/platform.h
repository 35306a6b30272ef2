// What loading the core asks of the operating system: platform_posix.cc, platform_windows.cc.
#ifndef PLATFORM_H
#define PLATFORM_H
#include <stddef.h>

namespace platform {

// A problem in words, "" if there is none; they are the platform's own or live as long as the thread does not ask again.
using Problem = const char *;

// The name of the core's library.
extern const char *const libraryName;

// Held by one thread at a time, from the first loadCore on.
class Turn {
public:
  Turn();
  ~Turn();
};

// Whether Go's runtime, which ends the process when it cannot have its address space or threads, will find them.
Problem roomForRuntime();

// Runs a function on a thread of its own whose signals, and so those of every thread that Go starts from there, are all
// blocked, and waits for its end.
Problem runApart(void (*function)(void *), void *argument);

// Opens the library beside this addon for good, into *library; what that changes of the host's signals is put back.
Problem openLibrary(void **library);

void *symbol(void *library, const char *name);

} // namespace platform
#endif
