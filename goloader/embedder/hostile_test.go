package embedder

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
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

// vast is a source that says it ends later than it does, as a sparse file may.
type vast struct{ gguf.Source }

func (vast) Size() int64 { return math.MaxInt64 }

// TestLoadOfATensorWhoseFloatsWrap: 2 bits an element are less than 2^63 bytes, 4 bytes an element are 2^63, and 2^64.
func TestLoadOfATensorWhoseFloatsWrap(t *testing.T) {
	r := newRuntime(t, Settings{Wrap: func(src gguf.Source) gguf.Source { return vast{src} }})
	iq1s, _ := quant.ByName("IQ1_S")
	for _, outer := range []int64{2, 4} {
		w := gguf.NewWriter()
		w.AddTensorAt("vast", tensor.Shape{outer, 1 << 30, 1 << 30}, iq1s.ID, 0)
		path := filepath.Join(t.TempDir(), "vast.gguf")
		require.NoError(t, os.WriteFile(path, append(w.Header(), make([]byte, limits.ChunkBytes)...), 0o600)) // what is looked at
		f, err := r.OpenFile(path)
		require.NoError(t, err)
		err = f.Load("vast", 0, nil, func(int64) ([]float32, error) { panic("nothing is asked for") })
		require.Equal(t, errs.MemoryLimit, errs.From(err).Code, "%v", err)
		f.Close()
	}
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
