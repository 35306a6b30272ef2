package embedder

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/test/hostile"
)

// faulty is a source whose reads go through a function: the number of the read, then ReadAt's arguments.
type faulty struct {
	gguf.Source
	reads *int
	read  func(n int, src gguf.Source, p []byte, offset int64) (int, error)
}

func (f faulty) ReadAt(p []byte, offset int64) (int, error) {
	*f.reads++
	return f.read(*f.reads-1, f.Source, p, offset)
}

func through(read func(n int, src gguf.Source, p []byte, offset int64) (int, error)) func(gguf.Source) gguf.Source {
	return func(src gguf.Source) gguf.Source { return faulty{src, new(int), read} }
}

func tinyFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	require.NoError(t, os.WriteFile(path, hostile.Tiny(), 0o600))
	return path
}

// life opens, embeds two texts and closes.
func life(r *Runtime, path string) ([]float32, error) {
	e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, nil, nil)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var out []float32
	done := make(chan error, 1)
	e.Submit(&Request{Texts: [][]byte{[]byte("hello world"), []byte("a b c !")},
		Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil },
		Done:     func(_ *Result, err error) { done <- err }})
	return out, <-done
}

func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// settled wants regions, grants, goroutines and descriptors back at what they were when it was called.
func settled(t testing.TB, r *Runtime) func() {
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	return func() {
		require.Zero(t, r.ledger.Total())
		require.Zero(t, r.ledger.Counters().Regions.Load())
		require.Zero(t, r.ledger.Counters().Reserved.Load())
		require.Empty(t, r.models)
		require.Equal(t, files, descriptors(t))
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
			require.True(t, time.Now().Before(deadline), "goroutines are left")
		}
	}
}

// TestEveryReadFails: the n-th read of a life fails in one of several ways, for every n until a life ends clean.
// Each time the error is typed, nothing is left, and the next life, unhurt, gives the same bits.
func TestEveryReadFails(t *testing.T) {
	path := tinyFile(t)
	want, err := life(newRuntime(t, Settings{}), path)
	require.NoError(t, err)
	for name, kind := range map[string]struct {
		fault func(p []byte) (int, error)
		code  errs.Code
	}{
		"EIO":          {func([]byte) (int, error) { return 0, syscall.EIO }, errs.FileRead},
		"EIO half-way": {func(p []byte) (int, error) { return len(p) / 2, syscall.EIO }, errs.FileRead},
		"ESTALE":       {func([]byte) (int, error) { return 0, syscall.ESTALE }, errs.FileRead},
		"end of file":  {func([]byte) (int, error) { return 0, io.EOF }, errs.GGUFTruncated},
		"no progress":  {func([]byte) (int, error) { return 0, nil }, errs.GGUFTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			failing, fired := 0, false
			r := newRuntime(t, Settings{Wrap: through(func(n int, src gguf.Source, p []byte, offset int64) (int, error) {
				if n == failing {
					fired = true
					return kind.fault(p)
				}
				return src.ReadAt(p, offset)
			})})
			check := settled(t, r)
			for ; ; failing++ {
				fired = false
				got, err := life(r, path)
				check()
				if !fired {
					require.NoError(t, err)
					require.Equal(t, want, got)
					break
				}
				e := errs.From(err)
				require.NotNil(t, e, "read %d", failing)
				require.Equal(t, kind.code, e.Code, "read %d: %v", failing, err)
				require.NotEmpty(t, e.Field)
				require.GreaterOrEqual(t, e.Offset, int64(0))
			}
			require.Greater(t, failing, 40)
		})
	}
}

// TestReadsThatAreMerelyOdd give the same bits: short ones of 1, 2, 7 and 4,096 bytes, halves, interrupted ones, and
// ends of file that come with the last bytes or after them.
func TestReadsThatAreMerelyOdd(t *testing.T) {
	path := tinyFile(t)
	want, err := life(newRuntime(t, Settings{}), path)
	require.NoError(t, err)
	atMost := func(limit func(p []byte) int) func(int, gguf.Source, []byte, int64) (int, error) {
		return func(_ int, src gguf.Source, p []byte, offset int64) (int, error) {
			return src.ReadAt(p[:limit(p)], offset)
		}
	}
	for name, read := range map[string]func(int, gguf.Source, []byte, int64) (int, error){
		"1 byte":      atMost(func([]byte) int { return 1 }),
		"2 bytes":     atMost(func(p []byte) int { return min(len(p), 2) }),
		"7 bytes":     atMost(func(p []byte) int { return min(len(p), 7) }),
		"4,096 bytes": atMost(func(p []byte) int { return min(len(p), 4096) }),
		"halves":      atMost(func(p []byte) int { return (len(p) + 1) / 2 }),
		"EINTR": func(n int, src gguf.Source, p []byte, offset int64) (int, error) {
			if n%3 != 0 {
				return 0, syscall.EINTR
			}
			return src.ReadAt(p, offset)
		},
		"EINTR half-way": func(n int, src gguf.Source, p []byte, offset int64) (int, error) {
			if n%2 == 0 && len(p) > 1 {
				m, _ := src.ReadAt(p[:len(p)/2], offset)
				return m, syscall.EINTR
			}
			return src.ReadAt(p, offset)
		},
		"end of file with the bytes": func(_ int, src gguf.Source, p []byte, offset int64) (int, error) {
			m, err := src.ReadAt(p, offset)
			return m, errors.Join(err, io.EOF)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRuntime(t, Settings{Wrap: through(read)})
			got, err := life(r, path)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// TestEveryAllocationFails: ENOMEM at the n-th allocation of a life, embedding included, for every n until one ends clean.
func TestEveryAllocationFails(t *testing.T) {
	path := tinyFile(t)
	r := newRuntime(t, Settings{})
	check := settled(t, r)
	opened := 0
	for n := 0; ; n++ {
		left := n
		r.ledger.FailAllocations(func(bytes int64) ([]byte, error) {
			if left--; left < 0 {
				return nil, syscall.ENOMEM
			}
			return memory.Map(bytes)
		})
		_, err := life(r, path)
		check()
		if err == nil {
			require.Greater(t, n, opened, "embedding allocates, too")
			break
		}
		e := errs.From(err)
		require.Equal(t, errs.MemoryAllocation, e.Code, "allocation %d", n)
		require.ErrorIs(t, err, syscall.ENOMEM)
		if e.Field != memory.Activations.String() {
			opened = n + 1
		}
	}
	require.Greater(t, opened, 5)
	r.ledger.FailAllocations(nil)
	_, err := life(r, path)
	require.NoError(t, err)
}

// TestOutputFails: no memory for the vectors is the call's error; the model stays.
func TestOutputFails(t *testing.T) {
	r := newRuntime(t, Settings{})
	e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: tinyFile(t)}}, nil, nil)
	require.NoError(t, err)
	defer e.Close()
	done := make(chan error, 1)
	e.Submit(&Request{Texts: [][]byte{[]byte("hello")}, Done: func(_ *Result, err error) { done <- err },
		Allocate: func(int64) ([]float32, error) { return nil, errs.New(errs.MemoryAllocation, "output", "none") }})
	require.Equal(t, errs.MemoryAllocation, errs.From(<-done).Code)
	require.Len(t, embed(t, e, [][]byte{[]byte("hello")}, CallOptions{}), 64)
}

// TestAPanickingAllocatorIsItsRequestsAlone: the first request holds the batcher until those after it wait together.
func TestAPanickingAllocatorIsItsRequestsAlone(t *testing.T) {
	r := newRuntime(t, Settings{})
	e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: tinyFile(t)}}, nil, nil)
	require.NoError(t, err)
	defer e.Close()
	queued := make(chan struct{})
	var answers []chan error
	for _, before := range []func(){func() { <-queued }, func() {}, func() { panic("no memory") }, func() {}} {
		done := make(chan error, 1)
		answers = append(answers, done)
		e.Submit(&Request{Texts: [][]byte{[]byte("hello")}, Done: func(_ *Result, err error) { done <- err },
			Allocate: func(n int64) ([]float32, error) { before(); return make([]float32, n), nil }})
	}
	close(queued)
	for i, want := range []errs.Code{"", "", errs.InternalFault, ""} {
		if err := <-answers[i]; want == "" {
			require.NoError(t, err, "request %d", i)
		} else {
			require.Equal(t, want, errs.From(err).Code, "request %d", i)
		}
	}
}

// TestTheFileChangesWhileItLoads: before the n-th read, for every n, it is cut, written over, or replaced.
func TestTheFileChangesWhileItLoads(t *testing.T) {
	other := func() []byte { b := hostile.Tiny(); b[len(b)-40]++; return b }()
	for name, kind := range map[string]struct {
		change func(t *testing.T, path string)
		codes  []errs.Code // none: the load goes on with the file it has open
	}{
		"cut":          {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 1000)) }, []errs.Code{errs.FileChanged}},
		"cut to none":  {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) }, []errs.Code{errs.FileChanged}},
		"written over": {overwrite(other), []errs.Code{errs.FileChanged}},
		"replaced": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".new", other, 0o600))
			require.NoError(t, os.Rename(path+".new", path))
		}, nil},
		"removed": {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := tinyFile(t)
			want, err := life(newRuntime(t, Settings{}), path)
			require.NoError(t, err)
			at, last, fired := 0, 0, false
			r := newRuntime(t, Settings{Wrap: through(func(n int, src gguf.Source, p []byte, offset int64) (int, error) {
				last = n
				if n == at && !fired {
					fired = true
					kind.change(t, path)
				}
				return src.ReadAt(p, offset)
			})})
			check := settled(t, r)
			for at = 0; ; at += 3 {
				require.NoError(t, os.RemoveAll(path))
				require.NoError(t, os.WriteFile(path, hostile.Tiny(), 0o600))
				fired = false
				got, err := life(r, path)
				check()
				if !fired {
					break
				}
				if kind.codes == nil {
					require.NoError(t, err, "read %d", at)
					require.Equal(t, want, got)
				} else {
					require.Contains(t, kind.codes, errs.From(err).Code, "read %d of %d: %v", at, last, err)
				}
			}
			require.Greater(t, at, 40)
		})
	}
}

// TestAnOpenFileChanges: every call on it says so, not what the file has become.
func TestAnOpenFileChanges(t *testing.T) {
	path := tinyFile(t)
	r := newRuntime(t, Settings{})
	onHeap := func(n int64) ([]float32, error) { return make([]float32, n), nil }
	calls := map[string]func(f *File) error{
		"Metadata":       func(f *File) error { _, err := f.Metadata("general.architecture", 0, 0); return err },
		"Metadata, list": func(f *File) error { _, err := f.Metadata("", 0, 100); return err },
		"Tensors":        func(f *File) error { _, err := f.Tensors(0, 100); return err },
		"Plan":           func(f *File) error { _, err := f.Plan(device.Exact); return err },
		"Chunk":          func(f *File) error { _, err := f.Chunk("token_embd.weight", 0, make([]byte, 1<<16)); return err },
		"Load":           func(f *File) error { return f.Load("token_embd.weight", 0, nil, onHeap) },
	}
	for name, change := range map[string]func(*testing.T, string){
		"cut":          func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 100)) },
		"written over": overwrite(make([]byte, len(hostile.Tiny()))),
	} {
		require.NoError(t, os.WriteFile(path, hostile.Tiny(), 0o600))
		f, err := r.OpenFile(path)
		require.NoError(t, err)
		for call, of := range calls {
			require.NoError(t, of(f), call)
		}
		change(t, path)
		for call, of := range calls {
			require.Equal(t, errs.FileChanged, errs.From(of(f)).Code, "%s: %s", name, call)
		}
		require.Equal(t, errs.GGUFTensorNotFound, errs.From(f.Load("none", 0, nil, onHeap)).Code, "is the caller's")
		f.Close()
	}
}

func overwrite(data []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		later := time.Now().Add(time.Hour)
		require.NoError(t, os.Chtimes(path, later, later))
	}
}

// TestReplacedBeforeItIsOpened: the weights of a file are never kept under the identity of another.
func TestReplacedBeforeItIsOpened(t *testing.T) {
	r := newRuntime(t, Settings{})
	d, err := r.device("cpu")
	require.NoError(t, err)
	path := tinyFile(t)
	identity, err := gguf.Identify(tinyFile(t))
	require.NoError(t, err)
	err = r.load(&model{key: modelKey{file: identity}}, d, LoadOptions{Path: path})
	require.Equal(t, errs.FileChanged, errs.From(err).Code)
}

// splitFile is the tiny model in two parts.
func splitFile(t testing.TB) (first, second string) {
	for _, c := range hostile.All() {
		if c.Name == "two parts" {
			first, err := c.Make(filepath.Join(t.TempDir(), "parts"))
			require.NoError(t, err)
			return first, strings.Replace(first, "-00001-", "-00002-", 1)
		}
	}
	t.Fatal("no such case")
	return "", ""
}

// TestEveryPartIsTheModels: models of one first part, but of different second ones, share nothing.
func TestEveryPartIsTheModels(t *testing.T) {
	first, second := splitFile(t)
	r := newRuntime(t, Settings{})
	texts := [][]byte{[]byte("hello world")}
	load := func(path string) *Embedder {
		e := open(t, r, path, device.Exact)
		t.Cleanup(e.Close)
		return e
	}
	want := load(first)
	link := strings.Replace(first, "m-00001-", "link-00001-", 1)
	require.NoError(t, os.Link(first, link))
	require.NoError(t, os.Link(second, strings.Replace(second, "m-00002-", "link-00002-", 1)))
	shared := load(link).Info()
	require.True(t, shared.Shared)
	require.Equal(t, link, shared.Path, "the caller's")
	other, err := os.ReadFile(second)
	require.NoError(t, err)
	copy(other[len(other)-256:], other[len(other)-128:]) // floats of the last tensor

	dir := t.TempDir()
	beside := filepath.Join(dir, filepath.Base(first))
	require.NoError(t, os.Link(first, beside))
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(second)), other, 0o600))
	require.NoError(t, os.WriteFile(second+".new", other, 0o600))
	require.NoError(t, os.Rename(second+".new", second))
	for name, path := range map[string]string{"another second part beside a link": beside, "a second part that was replaced": first} {
		got := load(path)
		require.False(t, got.Info().Shared, name)
		require.NotEqual(t, embed(t, want, texts, CallOptions{}), embed(t, got, texts, CallOptions{}), name)
	}
}

// finite says whether every value is a number.
func finite(values []float32) bool {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
