//go:build unix

package cpu

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// BenchmarkPeak prints what the loops reach here, in G operations a second; a multiplication and an addition are two.
func BenchmarkPeak(b *testing.B) {
	for _, name := range []string{"f32 512", "int16 512", "int8 512", "madd 512", "f32 256", "int16 256", "int8 256", "madd 256", "int8 tiles"} {
		b.Run(name, func(b *testing.B) {
			rate := loopRate(name)
			if rate == 0 {
				b.Skip("not run: the processor has no such instruction")
			}
			b.ReportMetric(rate, "Gop/s")
		})
	}
}

// linearKernels are the products of MiniLM and nomic: type and precision. Q4_K has mins, Q6_K sub-blocks of 16.
var linearKernels = []struct {
	typ       string
	precision device.Precision
}{{"F32", device.Exact}, {"F16", device.Exact}, {"Q8_0", device.Exact}, {"Q4_0", device.Exact}, {"Q6_K", device.Exact},
	{"F16", device.Fast}, {"Q8_0", device.Fast}, {"Q4_0", device.Fast}, {"Q6_K", device.Fast},
	{"BF16", device.Exact}, {"BF16", device.Fast}, {"Q4_K", device.Exact}, {"Q4_K", device.Fast}}

// BenchmarkLinear: every set that has a loop of BenchmarkPeak's, kernel, shape (inputs x outputs) and number of rows. One row
// is bound by reading weights, and says how many GB of them a second. `-bench Linear/amx/Q8_0` and `-benchtime 20ms`
// make it short.
func BenchmarkLinear(b *testing.B) {
	shapes := [][2]int{{384, 384}, {384, 1152}, {384, 1536}, {1536, 384}, {768, 768}, {768, 2304}, {768, 3072}, {3072, 768}}
	peaks := map[string]float64{}
	for i, info := range Sets() {
		set := &kernelSets[i]
		if !info.Available() || set.peak(Floats) == "" {
			b.Run(info.Name, func(b *testing.B) {
				needSet(b, info)
				b.Skipf("not run: no loop bounds %s", info.Name)
			})
			continue
		}
		for _, kernel := range linearKernels {
			typ, _ := quant.ByName(kernel.typ)
			bound := set.peak(set.arithmetic(device.TensorSpec{Type: typ, Shape: tensor.Shape{1, 1}}, kernel.precision))
			for _, shape := range shapes {
				for _, rows := range []int{1, 8, 16, 64, 256, 2048} {
					b.Run(fmt.Sprintf("%s/%s/%s/%dx%d/%d", info.Name, kernel.typ, []string{"exact", "fast"}[kernel.precision], shape[0], shape[1], rows), func(b *testing.B) {
						if peaks[bound] == 0 {
							peaks[bound] = loopRate(bound)
						}
						benchmarkLinear(b, set, typ, kernel.precision, rows, shape[1], shape[0], peaks[bound])
					})
				}
			}
		}
	}
}

func benchmarkLinear(b *testing.B, s *kernelSet, typ *quant.Type, p device.Precision, rows, n, k int, peak float64) {
	spec := device.TensorSpec{Name: "w", Shape: tensor.Shape{int64(n), int64(k)}, Type: typ, Role: device.Matrix}
	size, err := s.packedBytes(spec, p)
	require.NoError(b, err)
	w, arithmetic := s.newPacker(spec, p, offHeap(b, size), offHeap(b, s.scratchBytes(spec, p))), s.arithmetic(spec, p)
	r := rand.New(rand.NewPCG(1, 2))
	normal := func() float32 { return float32(r.NormFloat64()) }
	stride := floatsStride(k)
	x := offHeapOf[float32](b, rows*stride)
	copy(x, draw(rows*stride, normal))
	out := offHeapOf[float32](b, rows*n)
	all := window{0, rows, 0, (n + 31) / 32}
	run := func() { s.linearFloats(w, x, stride, nil, out, n, all) }
	if c := typ.Codes; c != nil {
		code := func() int8 { return int8(r.Uint32()) }
		if c.Bits == 4 {
			code = func() int8 { return int8(r.Uint32() & 15) }
		}
		var mins []float32
		if c.Min {
			mins = draw(n*k/c.SubBlock, normal)
		}
		require.NoError(b, w.PackCodes(0, draw(n*k, code), draw(n*k/c.SubBlock, normal), mins))
	} else {
		require.NoError(b, w.PackFloats(0, draw(n*k, func() float32 { return narrow(typ.Name, normal()) })))
	}
	if arithmetic != Floats {
		a := preparedRows{codes: offHeapOf[byte](b, rows*codesStride(k)), scales: offHeapOf[float32](b, rows*k/32),
			zeros: offHeapOf[int32](b, rows*k/32), sums: offHeapOf[int32](b, rows*k/16),
			widened: offHeap(b, s.widenedBytes(spec, p))}
		s.prepare(spec, p, x, stride, rows, a)
		run = func() { s.linearCodes(w, a, nil, out, n, all) }
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run()
	start := threadTime()
	for b.Loop() {
		run()
	}
	nanoseconds := float64(threadTime()-start) / float64(b.N)
	rate := 2 * float64(rows) * float64(n) * float64(k) / nanoseconds
	b.ReportMetric(rate, "Gop/s")
	b.ReportMetric(100*rate/peak, "%peak")
	if rows == 1 {
		b.ReportMetric(float64(size)/nanoseconds, "GB/s")
	}
}

// offHeapOf is a slice of off-heap memory.
func offHeapOf[T any](t testing.TB, n int) []T {
	var one T
	raw := offHeap(t, int64(n)*int64(unsafe.Sizeof(one)))
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw))), n)
}
