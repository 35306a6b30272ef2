//go:build unix

package embedder

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"gguf-stream/device"
)

// BenchmarkEncoder is MiniLM's whole forward pass over a batch of random ids: tokens a second of wall time, and
// microseconds of CPU time a token, which other processes disturb less. GGUF_STREAM_KERNELS names the set.
//
//	go test ./goloader/embedder -run - -bench Encoder/exact/1_threads
func BenchmarkEncoder(b *testing.B) { benchmarkShapes(b, bundled) }

// BenchmarkEncoderF16 is the same over the original weights as halves.
func BenchmarkEncoderF16(b *testing.B) {
	if _, err := os.Stat(f16Model); err != nil {
		b.Skip("the model is not there: TestGoldenVectors makes it")
	}
	benchmarkShapes(b, f16Model)
}

func benchmarkShapes(b *testing.B, file string) {
	for _, p := range []device.Precision{device.Exact, device.Fast} {
		for threads := 1; threads <= 2; threads++ {
			for _, shape := range [][2]int{{1, 4}, {1, 8}, {1, 16}, {1, 32}, {32, 16}, {8, 64}, {32, 128}, {1, 512}, {8, 512}} {
				b.Run(fmt.Sprintf("%s/%d_threads/%dx%d", precisionNames[p], threads, shape[0], shape[1]), func(b *testing.B) {
					benchmarkEncoder(b, file, p, threads, shape[0], shape[1])
				})
			}
		}
	}
}

func benchmarkEncoder(b *testing.B, file string, p device.Precision, threads, texts, tokens int) {
	r := newRuntime(b, Settings{Threads: threads, KernelSet: os.Getenv("GGUF_STREAM_KERNELS")})
	e := open(b, r, file, p)
	defer e.Close()
	random := rand.New(rand.NewPCG(1, 2))
	batch := &device.Batch{Offsets: []uint32{0}, Pooling: device.PoolMean, Out: make([]float32, texts*e.model.config.HiddenSize)}
	for range texts {
		for range tokens {
			batch.IDs = append(batch.IDs, random.Uint32N(30000))
		}
		batch.Offsets = append(batch.Offsets, uint32(len(batch.IDs)))
	}
	b.ReportAllocs()
	start := processorTime(b)
	for b.Loop() {
		if err := e.model.executable.Run(batch); err != nil {
			b.Fatal(err)
		}
	}
	done := float64(b.N) * float64(texts*tokens)
	b.ReportMetric(done/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(float64((processorTime(b)-start).Nanoseconds())/1e3/done, "cpu-µs/token")
}

// processorTime is the process's user and system time so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
