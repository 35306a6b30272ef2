//go:build ignore

/* The core as an executable that has its code from the library beside it: gs_serve between this and js/process.js. Linked by
 * scripts/core.js; where the library cannot be loaded, main.go takes its place. */
#include "gguf_stream.h"

#include <stdlib.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <signal.h>
#endif

/* A terminal's signals go to the whole group, but when to end is the parent's decision. */
static void leave_signals(void) {
#ifdef _WIN32
  SetConsoleCtrlHandler(NULL, TRUE); /* Ctrl-C is ignored */
#else
  const int signals[] = {SIGINT, SIGHUP, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_IGN);
#endif
}

int main(int argc, char **argv) {
  leave_signals();
  _Exit(gs_serve(argc > 1 ? argv[1] : "")); /* without waiting for what still runs */
}
