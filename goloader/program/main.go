// Package main is the core as an executable of its own, for musl, where the library cannot be loaded. Elsewhere the
// executable is main.c, which has its code from the library.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"gguf-stream/goloader/process"
)

func main() {
	// a terminal's signals go to the whole group, but when to end is the parent's decision
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTERM)
	kernels := ""
	if len(os.Args) > 1 {
		kernels = os.Args[1]
	}
	os.Exit(process.Serve(kernels))
}
