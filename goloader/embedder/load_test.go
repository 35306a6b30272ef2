package embedder

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
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
	require.NoError(b, r.loadWeights(m, f, d, p))
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
