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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
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
				ids, counts, err := e.Tokenize([][]byte{long}, CallOptions{Prefix: &prefix}, func(n int64) (ids []uint32, err error) {
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
