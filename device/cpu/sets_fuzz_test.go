package cpu

import (
	"encoding/binary"
	"math"
	"testing"

	"gguf-stream/device"
)

// supply hands out a fuzzer's bytes as numbers, over and over.
type supply struct {
	data []byte
	at   int
}

func (s *supply) byte() byte {
	if len(s.data) == 0 {
		return 0
	}
	s.at++
	return s.data[(s.at-1)%len(s.data)]
}

func (s *supply) any() float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32([]byte{s.byte(), s.byte(), s.byte(), s.byte()}))
}

// finite is every number but NaN and infinities, which a load refuses.
func (s *supply) finite() float32 {
	f := s.any()
	if math.Float32bits(f)&0x7f800000 == 0x7f800000 {
		return math.Float32frombits(math.Float32bits(f) &^ 0x40000000)
	}
	return f
}

// small is within ±2, so that no score of attention overflows.
func (s *supply) small() float32 {
	return math.Float32frombits(math.Float32bits(s.any()) &^ 0x40000000)
}

// FuzzKernelSets: all sets give the same bits, whatever the kernel, the form, the shape and the numbers, and
// none leaves its buffers.
func FuzzKernelSets(f *testing.F) {
	for kernel := range uint8(6) {
		for form := range forms() {
			f.Add(kernel, uint8(form), uint8(form+5), uint8(37*form), uint8(form), []byte("numbers \x00\x80\xff\x7f\x01 of no kind"))
			if kernel > 0 {
				break
			}
		}
	}
	f.Fuzz(func(t *testing.T, kernel, form, rows, columns, depth uint8, data []byte) {
		s := &supply{data: data}
		r, n := 1+int(rows)%30, 1+int(columns)
		switch kernel % 6 {
		case 0:
			fuzzLinear(t, form, r, n, int(depth), s)
		case 1:
			size, heads := 1+int(depth%80), 1+int(form%3)
			a := attentionShape{rows: 1 + n%140, heads: heads, size: size, stride: 3*heads*size + r, outStride: heads*size + r}
			checkAttention(t, attentions[form/3%3], newRandom(1), a, s.small, false)
		default:
			fuzzRow(t, kernel%6, form, r, n, s)
		}
	})
}

func fuzzLinear(t *testing.T, form uint8, rows, n, depth int, s *supply) {
	typ := forms()[int(form)%len(forms())]
	k, precision := 1+depth, device.Precision(depth/8%2)
	if typ.Codes != nil {
		k = 32 * (1 + depth%40) // of several chunks, where a set makes such
	}
	m := newProduct(typ, precision, rows, n, k, depth%2 == 0, s)
	w := window{r0: rows / 3, r1: rows, p0: n / 64, p1: (n + 31) / 32}
	got := everySet(t, func(k *kernelSet, f *fence) []float32 { return m.run(k, f, w) })
	requireGaps(t, got, m.outStride(), w.p0*32, n)
}

func fuzzRow(t *testing.T, kernel, form uint8, rows, n int, s *supply) {
	x, add, w, b := draw(rows*2*n, s.any), draw(rows*n, s.any), draw(n, s.any), draw(n, s.any)
	everySet(t, func(k *kernelSet, f *fence) []float32 {
		out := place(f, unwritten(1, n, n))
		switch kernel {
		case 2:
			out = place(f, unwritten(rows, n, n))
			k.norm(place(f, x[:rows*n]), place(f, add), n, rows, place(f, w), place(f, b), out, 1e-12)
		case 3:
			k.activate(device.Precision(form/3%2), device.Activation(form%3), place(f, x[:2*n]), out, n)
		case 4:
			k.mean(place(f, x[:rows*n]), n, rows, out)
		case 5:
			out = place(f, x)
			k.rotate(out, place(f, x[:2*n]), rows, 2*n)
		}
		return out
	})
}
