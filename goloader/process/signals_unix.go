//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// leaveSignals: a terminal's signals go to the whole group, but when to end is the parent's decision.
func leaveSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTERM)
}
