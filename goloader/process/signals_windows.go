package main

import (
	"os"
	"os/signal"
)

// leaveSignals: a console's Ctrl-C goes to all its processes, but when to end is the parent's decision. Windows knows no
// ignored ones: they are taken, and left lying.
func leaveSignals() { signal.Notify(make(chan os.Signal, 1), os.Interrupt) }
