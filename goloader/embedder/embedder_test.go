package embedder

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
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

func TestGoldenMiniLM(t *testing.T) {
	texts := goldenTexts(t, "texts.jsonl")
	for _, c := range []struct {
		file, golden string
	}{{bundled, "all-MiniLM-L6-v2.q8_0.wref.f32"}, {"../../test/golden/all-MiniLM-L6-v2.Q4_K_M.gguf", "all-MiniLM-L6-v2.q4_k_m.wref.f32"}} {
		want := goldenVectors(t, c.golden)
		for p, bound := range map[device.Precision]float64{device.Exact: 1e-6, device.Fast: 1e-3} {
			r := newRuntime(t, Settings{})
			e := open(t, r, c.file, p)
			w := worst(t, embed(t, e, texts, CallOptions{}), want, 384)
			t.Logf("%s %s: 1−cos %.2g at worst", filepath.Base(c.file), precisionNames[p], w)
			require.LessOrEqual(t, w, bound)
			e.Close()
		}
	}
}
