package embedder

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
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
