package embedder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/test/hostile"
)

// inMemory stands in for the file that was opened.
type inMemory []byte

func (m inMemory) Size() int64                                { return int64(len(m)) }
func (m inMemory) ReadAt(p []byte, offset int64) (int, error) { return copy(p, m[offset:]), nil }

// FuzzModel patches the good model and cuts it: it gives a typed error, or embeds to finite numbers, and leaves nothing.
func FuzzModel(f *testing.F) {
	good := hostile.Tiny()
	path := filepath.Join(f.TempDir(), "m.gguf")
	require.NoError(f, os.WriteFile(path, nil, 0o600))
	var data []byte
	r, err := NewRuntime(Settings{Threads: 1, Wrap: func(gguf.Source) gguf.Source { return inMemory(data) }})
	require.NoError(f, err)
	f.Add(uint32(0), []byte("GGUF"), uint32(0))
	f.Add(uint32(60), []byte{0xff, 0xff, 0xff, 0xff}, uint32(0))
	f.Add(uint32(900), []byte("\u2581"), uint32(17))
	f.Add(uint32(len(good)-50), []byte{0, 0, 0xc0, 0x7f}, uint32(0))
	for _, c := range hostile.All() {
		if c.Section == "hyperparameters" || c.Section == "vocabulary" {
			f.Add(uint32(0), c.Bytes(), uint32(0))
		}
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, cut uint32) {
		data = append(data[:0], good...)
		at %= uint32(len(data))
		copy(data[at:], patch)
		data = data[:len(data)-int(cut)%len(data)]
		out, err := life(r, path)
		if err != nil {
			var e *errs.Error
			require.ErrorAs(t, err, &e)
			require.NotEqual(t, errs.Internal, e.Kind(), "%v", err)
			require.LessOrEqual(t, e.Offset, int64(len(data)))
		} else {
			require.True(t, finite(out))
		}
		require.Zero(t, r.ledger.Total())
		require.Zero(t, r.ledger.Counters().Reserved.Load())
	})
}
