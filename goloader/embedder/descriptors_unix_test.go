//go:build unix

package embedder

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"gguf-stream/goloader/errs"
)

// TestDescriptorsRunOut: with none left a load is refused by name; with each one more it fails in kind or works.
func TestDescriptorsRunOut(t *testing.T) {
	path := tinyFile(t)
	r := newRuntime(t, Settings{})
	_, err := life(r, path)
	require.NoError(t, err)
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	t.Cleanup(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) })
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: old.Max}))
	var kept []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		kept = append(kept, f)
	}
	worked := 0
	for i := range 6 {
		_, err := life(r, path)
		if err == nil {
			worked++
		} else {
			require.Equal(t, errs.FileOpen, errs.From(err).Code, "%d left: %v", i, err)
			require.ErrorIs(t, err, syscall.EMFILE)
		}
		require.Equal(t, i > 0, err == nil, "%d left", i)
		require.Zero(t, r.ledger.Total())
		require.NoError(t, kept[i].Close())
	}
	for _, f := range kept[6:] {
		require.NoError(t, f.Close())
	}
	require.Equal(t, 5, worked)
}
