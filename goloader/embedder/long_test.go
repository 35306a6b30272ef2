package embedder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// heapPeak is the most that the heap in use grows by while f runs, garbage included, as of every fifth of a millisecond.
func heapPeak(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as jobs.New sets it
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak := m.HeapInuse, m.HeapInuse
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return int64(peak - before)
}

// TestLongMetadataStaysOffTheHeap: control characters are six bytes each in JSON, and encoding copies them.
func TestLongMetadataStaysOffTheHeap(t *testing.T) {
	w := gguf.NewWriter()
	for i := range 8 {
		w.Add(fmt.Sprint("kept ", i), strings.Repeat("\x01", limits.KeptStringBytes))
		w.Add(fmt.Sprint("long ", i), strings.Repeat("\x01", 1<<20))
	}
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, w.Header(), 0o600))
	r := newRuntime(t, Settings{})
	f, err := r.OpenFile(path)
	require.NoError(t, err)
	defer f.Close()
	peak := heapPeak(func() {
		for from := int64(0); from < 16; {
			page, err := f.Metadata("", from, 100)
			require.NoError(t, err)
			require.NotEmpty(t, page.Pairs)
			for i, p := range page.Pairs {
				require.Equal(t, []string{"string", "array"}[(int(from)+i)%2], p.Value.Type, p.Key)
			}
			from += int64(len(page.Pairs))
			_, err = json.Marshal(page)
			require.NoError(t, err)
		}
	})
	t.Logf("the heap grew by %d bytes", peak)
	require.Less(t, peak, int64(10<<20))
}

// TestLongTextsStayOffTheHeap: texts of maxTextBytes (1 MiB), each byte of which is a token, eight at once, behind a prefix.
func TestLongTextsStayOffTheHeap(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	long := bytes.Repeat([]byte("."), 1<<20)
	prefix := "query: "
	peak := heapPeak(func() {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				var m *memory.Region
				ids, counts, err := e.Tokenize([][]byte{long}, CallOptions{Prefix: &prefix}, nil, func(n int64) (ids []uint32, err error) {
					m, err = r.ledger.Allocate(memory.Output, 4*n)
					return memory.Slice[uint32](m, 0, n), err
				})
				require.NoError(t, err)
				require.Equal(t, []int{1<<20 + 4}, counts)
				require.Len(t, ids, 1<<20+4)
				m.Free()
				embed(t, e, [][]byte{long}, CallOptions{Prefix: &prefix})
			})
		}
		wg.Wait()
	})
	t.Logf("the heap grew by %d bytes", peak)
	require.Less(t, peak, int64(4<<20))
}

// TestWorkspaceIsLinearInTheText: the activations of 512, 1,024 and 2,048 tokens grow in even steps, in both precisions: no
// buffer has a number, nor a byte, for each pair of tokens. A run is cancelled when its workspace is there.
func TestWorkspaceIsLinearInTheText(t *testing.T) {
	for p, name := range precisionNames {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t, Settings{Threads: 2})
			e := open(t, r, made+"nomic-synthetic.Q8_0.gguf", device.Precision(p))
			defer e.Close()
			bytesOf := func(tokens int) (most int64) {
				text, stop, done := [][]byte{[]byte(strings.Repeat(". ", tokens-2))}, new(atomic.Uint32), make(chan error, 1)
				_, counts, err := e.Tokenize(text, CallOptions{}, nil, func(n int64) ([]uint32, error) { return make([]uint32, n), nil })
				require.NoError(t, err)
				require.Equal(t, []int{tokens}, counts)
				r.ledger.FailAllocations(func(bytes int64) ([]byte, error) {
					most = max(most, bytes)
					stop.Store(1)
					return memory.Map(bytes)
				})
				defer r.ledger.FailAllocations(memory.Map)
				e.Submit(&Request{Texts: text, Cancelled: stop, Done: func(_ *Result, err error) { done <- err },
					Allocate: func(n int64) ([]float32, error) { return make([]float32, n), nil }})
				require.True(t, isCode(<-done, errs.Aborted))
				return most
			}
			short, middle, long := bytesOf(512), bytesOf(1024), bytesOf(2048)
			t.Logf("%d bytes of 512 tokens, %d of 1,024, %d of 2,048", short, middle, long)
			require.Greater(t, middle, short)
			require.Less(t, float64(long-middle), 2.05*float64(middle-short))
		})
	}
}
