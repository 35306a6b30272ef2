package embedder

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	"gguf-stream/goloader/stream"
)

// BenchmarkLoad: medians in milliseconds of a load's parts and, between the loads, of reading the same bytes and
// writing them to fresh memory. Files in the page cache; nomic-synthetic is made by scripts/genmodels.
func BenchmarkLoad(b *testing.B) {
	for _, of := range []struct {
		path      string
		precision device.Precision
	}{{bundled, device.Exact}, {f16Model, device.Exact}, {f16Model, device.Fast}, {made + "nomic-synthetic.Q8_0.gguf", device.Exact}} {
		b.Run(filepath.Base(of.path)+"/"+precisionNames[of.precision], func(b *testing.B) {
			if _, err := os.Stat(of.path); err != nil {
				b.Skipf("%s is not there: go run ./scripts/genmodels", of.path)
			}
			r, err := NewRuntime(Settings{})
			require.NoError(b, err)
			parts := map[string][]float64{}
			for b.Loop() {
				loadInParts(b, r, of.path, of.precision, parts)
				copyBytes(b, r, of.path, parts)
			}
			for name, times := range parts {
				slices.Sort(times)
				b.ReportMetric(times[len(times)/2], name+"-ms")
			}
		})
	}
}

// waits starts what must not end yet, and returns its end.
func waits(t *testing.T, what func() error) (end chan error) {
	end = make(chan error, 1)
	go func() { end <- what() }()
	select {
	case err := <-end:
		t.Fatal("it did not wait: ", err)
	case <-time.After(50 * time.Millisecond):
	}
	return end
}

func soon(t *testing.T, end chan error) (err error) {
	select {
	case err = <-end:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits on")
	}
	return err
}

// TestACancelledLoadEndsWhereItWaits: for a turn at the disk, before it is known which file it is and after.
func TestACancelledLoadEndsWhereItWaits(t *testing.T) {
	r := newRuntime(t, Settings{})
	path := tinyFile(t)
	for name, load := range map[string]func(*atomic.Uint32) error{
		"identity": func(stop *atomic.Uint32) error {
			_, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, stop, nil)
			return err
		},
		"weights": func(stop *atomic.Uint32) error {
			m, _ := r.join(modelKey{})
			m.waiters.enter(&waiter{cancelled: stop})
			r.run(m, r.cpu, LoadOptions{Path: path})
			return m.err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range limits.DiskJobs {
				defer turn(r.disk)()
			}
			stop := new(atomic.Uint32)
			end := waits(t, func() error { return load(stop) })
			stop.Store(1)
			require.True(t, isCode(soon(t, end), errs.Aborted))
		})
	}
	require.Empty(t, r.models)
}

// embedded is how a text's request ends.
func (e *Embedder) embedded(t *testing.T, text string) error {
	done := make(chan error, 1)
	e.Submit(&Request{Texts: [][]byte{[]byte(text)}, Done: func(_ *Result, err error) { done <- err },
		Allocate: func(n int64) ([]float32, error) { return make([]float32, n), nil }})
	return soon(t, done)
}

// TestALoadWaitsForMemory: without a turn at the disk, until others have filled theirs or nobody wants it any more. A batch
// of a loaded model does not wait.
func TestALoadWaitsForMemory(t *testing.T) {
	const all = 1 << 30
	r := newRuntime(t, Settings{})
	path := tinyFile(t)
	load := func(p device.Precision, stop *atomic.Uint32) (*Embedder, error) {
		return r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path, Precision: p}}, stop, nil)
	}
	loaded, err := load(device.Fast, nil)
	require.NoError(t, err)
	defer loaded.Close()
	r.monitor.WithLimits(func() []memory.SystemLimit { return []memory.SystemLimit{{Name: "cgroup", Bytes: all}} })
	another, err := r.monitor.TryAllocate(all-1, 0, "another's load")
	require.NoError(t, err)
	defer another.Release()

	stop := new(atomic.Uint32)
	end := waits(t, func() error { _, err := load(device.Exact, stop); return err })
	require.Len(t, r.disk, limits.DiskJobs)
	require.True(t, isCode(loaded.embedded(t, "hello"), errs.MemoryLimit))
	stop.Store(1)
	require.True(t, isCode(soon(t, end), errs.Aborted))

	end = waits(t, func() error {
		e, err := load(device.Exact, nil)
		if err == nil {
			e.Close()
		}
		return err
	})
	another.Filled()
	require.NoError(t, soon(t, end))
	require.Len(t, r.disk, limits.DiskJobs)
}

// TestABatchWhileAnotherModelLoads: there is room for both, and what the load has written to is not taken off twice.
func TestABatchWhileAnotherModelLoads(t *testing.T) {
	r := newRuntime(t, Settings{})
	const path = made + "bert-tiny-mean.gguf"
	first, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path, Precision: device.Fast}}, nil, nil)
	require.NoError(t, err)
	defer first.Close()
	f, err := r.OpenFile(path)
	require.NoError(t, err)
	plan, err := f.Plan(device.Exact)
	require.NoError(t, err)
	f.Close()
	var written atomic.Int64
	r.monitor.WithLimits(func() []memory.SystemLimit {
		return []memory.SystemLimit{{Name: "cgroup", Bytes: plan.Total + plan.Weights/2 - written.Load()}}
	})
	batch := errors.New("the load has not come so far")
	second, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, nil, func(loaded, total int64, _ string) {
		if written.Store(plan.Weights * loaded / total); loaded == total {
			batch = first.embedded(t, "hello")
		}
	})
	require.NoError(t, err)
	second.Close()
	require.NoError(t, batch)
}

// TestTheLastCallerSeesALoadsEnd: what a load still writes to is not taken from under it.
func TestTheLastCallerSeesALoadsEnd(t *testing.T) {
	reading, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	r := newRuntime(t, Settings{Wrap: through(func(n int, src gguf.Source, p []byte, offset int64) (int, error) {
		if n == 20 {
			close(reading)
			<-goOn
		}
		return src.ReadAt(p, offset)
	})})
	path, stop, left := tinyFile(t), new(atomic.Uint32), int64(0)
	end := waits(t, func() error {
		_, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, stop, nil)
		left = r.ledger.Total()
		return err
	})
	<-reading
	stop.Store(1)
	select {
	case err := <-end:
		t.Fatal("it is under way: ", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	require.True(t, isCode(soon(t, end), errs.Aborted))
	require.Zero(t, left)
}

// TestACancelledLoadBeginsNoOtherPart: cancelled in the last read of the header or the plan, or when the weights are
// loaded and the program is not, it reads nothing more.
func TestACancelledLoadBeginsNoOtherPart(t *testing.T) {
	path := tinyFile(t)
	reads, cancelAt, stop := 0, -1, new(atomic.Uint32)
	r := newRuntime(t, Settings{Wrap: through(func(n int, src gguf.Source, p []byte, offset int64) (int, error) {
		reads = n + 1
		if n == cancelAt {
			stop.Store(1)
		}
		return src.ReadAt(p, offset)
	})})
	f, err := gguf.OpenThrough(path, r.ledger, r.wrap)
	require.NoError(t, err)
	header := reads
	_, err = r.plan(f, r.cpu, device.Exact)
	require.NoError(t, err)
	plan := reads
	f.Close()
	aborted := func(progress stream.Progress) {
		t.Helper()
		_, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, stop, progress)
		require.True(t, isCode(err, errs.Aborted), "%v", err)
		stop.Store(0)
	}
	for _, last := range []int{header, plan} {
		cancelAt = last - 1
		aborted(nil)
		require.Equal(t, last, reads)
	}
	cancelAt = -1
	weights := 0
	r.ledger.FailAllocations(func(bytes int64) ([]byte, error) {
		if weights > 0 {
			stop.Store(1)
		}
		return memory.Map(bytes)
	})
	aborted(func(loaded, total int64, _ string) {
		if loaded == total {
			weights = reads
		}
	})
	require.Positive(t, weights)
	require.Equal(t, weights, reads)
}

// stopwatch notes the time since the last call.
func stopwatch(parts map[string][]float64) func(part string) {
	last := time.Now()
	return func(part string) {
		now := time.Now()
		parts[part] = append(parts[part], now.Sub(last).Seconds()*1000)
		last = now
	}
}

// loadInParts does what Runtime.load does.
func loadInParts(b *testing.B, r *Runtime, path string, p device.Precision, parts map[string][]float64) {
	d, err := r.device("")
	require.NoError(b, err)
	stop := stopwatch(parts)
	f, err := gguf.Open(path, r.ledger)
	require.NoError(b, err)
	defer f.Close()
	plan, err := r.plan(f, d, p)
	require.NoError(b, err)
	stop("header")
	m := &model{config: plan.config, layout: plan.layout}
	m.waiters.enter(&waiter{}) // somebody wants it
	require.NoError(b, r.loadWeights(m, f, d, p, func(float64) {}))
	stop("weights")
	m.tokenizer, err = loadTokenizer(f, r.ledger)
	require.NoError(b, err)
	stop("vocabulary")
	m.tokenizer.Close()
	m.close()
}

func copyBytes(b *testing.B, r *Runtime, path string, parts map[string][]float64) {
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(b, err)
	stop := stopwatch(parts)
	to, err := r.ledger.Allocate(memory.Weights, info.Size())
	require.NoError(b, err)
	to.AdviseHuge()
	chunk := make([]byte, limits.ChunkBytes)
	for at := 0; at < len(to.Bytes()); {
		n, err := f.Read(chunk)
		require.NoError(b, err)
		at += copy(to.Bytes()[at:], chunk[:n])
	}
	stop("read+write")
	to.Free()
}
