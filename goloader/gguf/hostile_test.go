package gguf_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/test/hostile"
	"gguf-stream/test/source"
)

// TestHostileFiles: each file of the list is refused with its code and its field, at an offset inside it; what is
// broken only as a model, and what is merely odd, opens.
func TestHostileFiles(t *testing.T) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	for _, c := range hostile.All() {
		t.Run(c.Section+"/"+c.Name, func(t *testing.T) {
			path, err := c.Make(filepath.Join(t.TempDir(), "m.gguf"))
			require.NoError(t, err)
			f, err := gguf.Open(path, ledger)
			if c.Model {
				require.NoError(t, err)
				f.Close()
			} else {
				e := errs.From(err)
				require.NotNil(t, e)
				require.Equal(t, c.Code, e.Code, "%v", err)
				if c.Field != hostile.AnyField {
					require.Equal(t, c.Field, e.Field)
				}
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && c.Section != "splits" { // there the other part may be longer
					require.LessOrEqual(t, e.Offset, info.Size())
				}
			}
			require.Zero(t, ledger.Total())
		})
	}
}

func FuzzOpen(f *testing.F) {
	ledger, err := memory.NewLedger() // one for all: a ledger's page is never given back
	require.NoError(f, err)
	const seedBytes = 16 << 10
	for _, c := range hostile.All() {
		if c.Bytes == nil || c.Section == "truncation" || c.Section == "legal" {
			continue
		}
		if data := c.Bytes(); len(data) < seedBytes {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.OpenSource(&source.Memory{Data: data}, ledger)
		if err != nil {
			var e *errs.Error
			require.ErrorAs(t, err, &e)
			require.NotEqual(t, errs.Internal, e.Kind())
			require.LessOrEqual(t, e.Offset, int64(len(data)))
			require.Zero(t, ledger.Total(), "a failed open leaves nothing")
			return
		}
		readAll(t, file)
		file.Close()
		require.Zero(t, ledger.Total())
	})
}

// readAll asks for everything that a header offers.
func readAll(t *testing.T, file *gguf.File) {
	for i := range file.Pairs() {
		v, err := file.Pair(i)
		require.NoError(t, err)
		_, _ = v.Bits()
		_, _ = v.Uint()
		_, _ = v.Text()
		if a, err := v.TextBytes(); err == nil {
			require.NoError(t, a.Numbers(0, func(int64, uint64) error { return nil }))
		}
		if a, err := v.Array(); err == nil {
			_ = a.Strings(0, func(int64, []byte) error { return nil })
			_ = a.Numbers(0, func(int64, uint64) error { return nil })
		}
	}
	for i := range file.Tensors() {
		info := file.Tensor(i)
		found, ok := file.FindTensor(info.Name)
		require.True(t, ok)
		require.Equal(t, info, found)
		if info.Bytes > 0 {
			require.NoError(t, file.ReadTensor(&info, info.Bytes-1, make([]byte, 1)))
		}
	}
}
