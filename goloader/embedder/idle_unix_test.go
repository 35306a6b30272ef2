//go:build unix

package embedder

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"gguf-stream/device"
)

// processTime is the processor time that this process has had.
func processTime(t *testing.T) time.Duration {
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestAnIdleEmbedderTakesNoTime: loaded, its threads woken by a batch, it then waits: 50 ms in two seconds are ten times
// what the test's own process takes.
func TestAnIdleEmbedderTakesNoTime(t *testing.T) {
	r := newRuntime(t, Settings{Threads: 2})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	texts := goldenTexts(t, "texts.jsonl")
	embed(t, e, texts, CallOptions{})
	time.Sleep(100 * time.Millisecond)
	before := processTime(t)
	time.Sleep(2 * time.Second)
	took := processTime(t) - before
	t.Log("it took", took)
	require.Less(t, took, 50*time.Millisecond)
}
