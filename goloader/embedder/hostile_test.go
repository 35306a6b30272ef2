package embedder

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/test/hostile"
)

// TestHostileModels: every file of the list is refused as its case says, or gives the plain model's bits.
func TestHostileModels(t *testing.T) {
	r := newRuntime(t, Settings{})
	check := settled(t, r)
	want, err := life(r, tinyFile(t))
	require.NoError(t, err)
	for _, c := range hostile.All() {
		t.Run(c.Section+"/"+c.Name, func(t *testing.T) {
			path, err := c.Make(filepath.Join(t.TempDir(), "m.gguf"))
			require.NoError(t, err)
			got, err := life(r, path)
			if c.Code == "" {
				require.NoError(t, err)
				require.True(t, finite(got))
				if c.Same {
					require.Equal(t, want, got)
				}
			} else {
				e := errs.From(err)
				require.NotNil(t, e)
				require.Equal(t, c.Code, e.Code, "%v", err)
				if c.Field != hostile.AnyField {
					require.Equal(t, c.Field, e.Field)
				}
				if at := valueOfKey(c, e.Field); at >= 0 {
					require.Equal(t, at, e.Offset, "%v", err)
				}
			}
			require.Zero(t, r.ledger.Total())
		})
	}
	check()
}

// valueOfKey is where a hyperparameter's value stands in the case's bytes: behind the key and its type. −1 if it does not.
func valueOfKey(c hostile.Case, key string) int64 {
	if c.Section != "hyperparameters" || key == "" {
		return -1
	}
	name := append(binary.LittleEndian.AppendUint64(nil, uint64(len(key))), key...)
	at := bytes.Index(c.Bytes(), name)
	if at < 0 {
		return -1
	}
	return int64(at + len(name) + 4)
}

// TestOneTextsDamageIsItsRequestsAlone: a request whose vectors are no numbers fails once, and those beside it in the
// batch get theirs.
func TestOneTextsDamageIsItsRequestsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, hostile.OverflowingToken(), 0o600))
	r := newRuntime(t, Settings{})
	e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, nil, nil)
	require.NoError(t, err)
	defer e.Close()
	answers := make(chan error, 2)
	var failed []float32
	for _, texts := range [][][]byte{{[]byte("a"), []byte("hello"), []byte("a b"), []byte("hello a")}, {[]byte("a"), []byte("b")}} {
		var out []float32
		e.Submit(&Request{Texts: texts,
			Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil },
			Done: func(_ *Result, err error) {
				if err != nil {
					clear(out) // its caller frees it now
					failed = out
				}
				answers <- err
			}})
	}
	codes := map[errs.Code]int{}
	for range 2 {
		if err := <-answers; err != nil {
			codes[errs.From(err).Code]++
		} else {
			codes[""]++
		}
	}
	require.Equal(t, map[errs.Code]int{errs.GGUFNonFinite: 1, "": 1}, codes)
	require.Equal(t, make([]float32, len(failed)), failed, "nothing is written to an output that was given back")
}
