package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"

	"gguf-stream/device"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// product is one matrix product with all its numbers: weights as codes or floats, rows of activations.
type product struct {
	spec         device.TensorSpec
	precision    device.Precision
	arithmetic   Arithmetic
	rows, n, k   int
	codes        []int8 // [n][k]
	scales, mins []float32
	weights      []float32 // [n][k], of types without codes
	x            []float32 // [rows][k]
	bias         []float32 // [n] or nil
	sums         bool      // rows are prepared with sums of their codes, as mins need them
}

// forms are the types whose packed forms differ, so that each form comes once.
func forms() (types []*quant.Type) {
	seen := map[any]bool{}
	for i := range quant.Types() {
		t := &quant.Types()[i]
		of := device.TensorSpec{Type: t, Shape: tensor.Shape{1, 256}}
		both := [2]any{kernelSets[0].form(of, device.Exact), kernelSets[0].form(of, device.Fast)}
		if t.Decode != nil && !seen[both] {
			seen[both] = true
			types = append(types, t)
		}
	}
	return types
}

// numbers draws floats for a product. finite is any number that a weight or an activation may be.
type numbers interface {
	byte() byte
	finite() float32
}

func newProduct(typ *quant.Type, p device.Precision, rows, n, k int, bias bool, r numbers) *product {
	m := &product{spec: device.TensorSpec{Name: typ.Name, Shape: tensor.Shape{int64(n), int64(k)}, Type: typ, Role: device.Matrix},
		precision: p, rows: rows, n: n, k: k, x: draw(rows*k, r.finite)}
	m.arithmetic = kernelSets[0].arithmetic(m.spec, p)
	if bias {
		m.bias = draw(n, r.finite)
	}
	c := typ.Codes
	if c == nil {
		m.weights = draw(n*k, func() float32 { return narrow(typ.Name, r.finite()) })
		return m
	}
	scale := r.finite
	if c.HalfScale {
		scale = func() float32 { return narrow("F16", r.finite()) }
	}
	m.codes = draw(n*k, func() int8 {
		if c.Bits == 4 {
			return int8(r.byte() & 15)
		}
		return int8(r.byte())
	})
	m.scales = draw(n*k/c.SubBlock, scale)
	m.sums = c.Min || rows%3 == 0 // another matrix of the model may have mins
	if c.Min {
		m.mins = draw(n*k/c.SubBlock, scale)
	}
	return m
}

func draw[T any](n int, next func() T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = next()
	}
	return s
}

// narrow is the nearest number that the type holds, never infinite.
func narrow(name string, f float32) float32 {
	switch name {
	case "F16":
		return float16.Fromfloat32(max(-65504, min(65504, f))).Float32()
	case "BF16":
		return math.Float32frombits(math.Float32bits(f) &^ 0xffff)
	}
	return f
}

// weight is element (column, i) in parts that the kernels multiply apart: value = scaled + min.
func (m *product) weight(column, i int) (scaled, min float64) {
	at := column*m.k + i
	c := m.spec.Type.Codes
	if c == nil {
		return float64(m.weights[at]), 0
	}
	code := m.codes[at]
	if c.Bits == 4 {
		code = c.Table[code]
	}
	if c.Min {
		min = float64(m.mins[at/c.SubBlock])
	}
	return float64(m.scales[at/c.SubBlock]) * float64(code), min
}

// steps are the distances of neighbouring activation codes at the elements of a row.
func (m *product) steps(row []float32) []float64 {
	switch m.arithmetic {
	case ExactCodes:
		lo, hi, _ := extent(row)
		return slices.Repeat([]float64{max(-lo, hi) / 32512}, m.k)
	case FastCodes:
		var steps []float64
		for block := range slices.Chunk(row, kernelSets[0].activationBlock(m.spec, m.precision)) {
			lo, hi, _ := extent(block)
			steps = append(steps, slices.Repeat([]float64{(hi - lo) / 255}, len(block))...)
		}
		return steps
	case Words:
		return slices.Repeat([]float64{wordsStep(row)}, m.k)
	}
	return make([]float64, m.k)
}

// extent is a row's least and greatest numbers, with 0, and its norm.
func extent(row []float32) (lo, hi, norm float64) {
	for _, v := range row {
		lo, hi, norm = min(lo, float64(v)), max(hi, float64(v)), norm+float64(v)*float64(v)
	}
	return lo, hi, math.Sqrt(norm)
}

// wordsStep is the distance of neighbouring codes of words.
func wordsStep(row []float32) float64 {
	lo, hi, norm := extent(row)
	return max(-lo/32512, hi/32512, norm/(46000-math.Sqrt(float64(len(row)))))
}

// weightSteps are those of a column's codes that packing makes anew, else 0.
func (m *product) weightSteps(column int) []float64 {
	switch {
	case m.arithmetic == Words:
		return slices.Repeat([]float64{wordsStep(m.weights[column*m.k:][:m.k])}, m.k)
	case m.arithmetic == FastCodes && kernelSets[0].activationBlock(m.spec, m.precision) == 64:
		return m.joinedSteps(column)
	}
	return make([]float64, m.k)
}

// joinedSteps: of two blocks under one scale, that of the lesser magnitude changes its codes.
func (m *product) joinedSteps(column int) (steps []float64) {
	for pair := range slices.Chunk(m.scales[column*m.k/32:][:m.k/32], 2) {
		a, b := float64(pair[0]), float64(pair[1])
		first, second := 0.0, math.Abs(a)
		if math.Abs(a) <= math.Abs(b) {
			first, second = math.Abs(b), 0
		}
		if a*b < 0 { // 128, which is −128 times −1, is a step too far
			first, second = 2*first, 2*second
		}
		steps = append(append(steps, slices.Repeat([]float64{first}, 32)...), slices.Repeat([]float64{second}, 32)...)
	}
	return steps
}

// want computes the product in float64 with the error that rounding allows: half a step of each activation, half a
// step of each weight whose code is new, and a unit in the last place of each addition.
func (m *product) want(w window) (want, bound []float64) {
	const ulp = 1.0 / (1 << 23)
	for r := w.r0; r < w.r1; r++ {
		row := m.x[r*m.k:][:m.k]
		steps := m.steps(row)
		for c := w.p0 * 32; c < min(m.n, w.p1*32); c++ {
			sum, size, quantised, weightSteps := 0.0, 0.0, 0.0, m.weightSteps(c)
			for i, v := range row {
				s, min := m.weight(c, i)
				x := float64(v)
				sum += x * (s + min)
				size += math.Abs(x) * (math.Abs(s) + math.Abs(min))
				quantised += steps[i]*(math.Abs(s+min)+weightSteps[i]) + weightSteps[i]*math.Abs(x)
			}
			if m.bias != nil {
				sum += float64(m.bias[c])
				size += math.Abs(float64(m.bias[c]))
			}
			want = append(want, sum)
			bound = append(bound, 0.51*quantised+float64(m.k+8)*ulp*size+1e-30)
		}
	}
	return want, bound
}

// run packs and multiplies with one set, all buffers at the fence; outputs are [rows][n] with gaps.
func (m *product) run(s *kernelSet, f *fence, w window) []float32 {
	size, err := s.packedBytes(m.spec, m.precision)
	require.NoError(f.t, err)
	p := s.newPacker(m.spec, m.precision, place(f, make([]byte, size)), place(f, make([]byte, s.scratchBytes(m.spec, m.precision))))
	if m.spec.Type.Codes != nil {
		require.NoError(f.t, p.PackCodes(0, place(f, m.codes), place(f, m.scales), place(f, m.mins)))
	} else {
		require.NoError(f.t, p.PackFloats(0, place(f, m.weights)))
	}
	stride := m.outStride()
	out, bias := place(f, unwritten(m.rows, m.n, stride)), place(f, m.bias)
	if m.arithmetic == Floats {
		x, gap := m.gapped(f)
		s.linearFloats(p, x, gap, bias, out, stride, w)
		return out
	}
	s.linearCodes(p, m.prepare(s, f), bias, out, stride, w)
	return out
}

// gapped is x with its rows further apart than they are long.
func (m *product) gapped(f *fence) (x []float32, stride int) {
	stride = m.k + 3
	x = make([]float32, (m.rows-1)*stride+m.k)
	for r := range m.rows {
		copy(x[r*stride:], m.x[r*m.k:][:m.k])
	}
	return place(f, x), stride
}

func (m *product) outStride() int { return m.n + 5 }

func (m *product) prepare(s *kernelSet, f *fence) preparedRows {
	scales, zeros := s.scalesPerRow(m.spec, m.precision), m.k/s.activationBlock(m.spec, m.precision)
	a := preparedRows{codes: place(f, make([]byte, (m.rows-1)*codesStride(m.k)+s.codesBytes(m.spec, m.precision))), scales: place(f, make([]float32, m.rows*scales)),
		zeros: place(f, make([]int32, m.rows*zeros)), widened: place(f, make([]byte, s.widenedBytes(m.spec, m.precision)))}
	if m.sums {
		a.sums = place(f, make([]int32, m.rows*m.k/16))
	}
	x, gap := m.gapped(f)
	s.prepare(m.spec, m.precision, x, gap, m.rows, a)
	return a
}

// random draws the ordinary, and now and then the awkward.
type random struct{ *rand.Rand }

func (r random) byte() byte {
	return []byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), 0x80, 0x7f}[r.IntN(5)]
}

func (r random) finite() float32 {
	switch r.IntN(16) {
	case 0:
		return float32(math.Copysign(0, -1))
	case 1:
		return float32(r.NormFloat64()) * 1e-40
	case 2:
		return float32(r.NormFloat64()) * 1e4
	}
	return float32(r.NormFloat64())
}

// TestLinearAtTheFence: every form in both precisions, every remainder of rows and columns, any window.
func TestLinearAtTheFence(t *testing.T) {
	for _, typ := range forms() {
		depths := []int{32, 96, 128}
		if typ.Codes == nil {
			depths = []int{1, 2, 7, 33}
		}
		for _, precision := range []device.Precision{device.Exact, device.Fast} {
			t.Run(fmt.Sprint(typ.Name, " precision ", precision), func(t *testing.T) {
				r := random{rand.New(rand.NewPCG(5, uint64(typ.ID)))}
				for _, k := range depths {
					for _, n := range []int{1, 33, 95} {
						for rows := 1; rows <= 13; rows++ {
							m := newProduct(typ, precision, rows, n, k, rows%2 == 0, r)
							m.check(t, window{0, rows, 0, (n + 31) / 32})
						}
						m := newProduct(typ, precision, 25, n, k, true, r)
						m.check(t, window{3, 25, (n - 1) / 32, (n + 31) / 32})
					}
				}
			})
		}
	}
}

// TestLongColumnsAtTheFence: even and odd numbers of blocks, as many as a set takes in several chunks of one size and of two,
// and more than it has room for; and rows of one tile, of two, and of more than go together.
func TestLongColumnsAtTheFence(t *testing.T) {
	for _, typ := range forms() {
		if typ.Codes == nil {
			continue
		}
		for _, precision := range []device.Precision{device.Exact, device.Fast} {
			for _, sensitive := range []bool{false, true} {
				if sensitive && (precision == device.Exact || typ.Name != "Q8_0") {
					continue // the same product
				}
				t.Run(fmt.Sprint(typ.Name, " precision ", precision, " sensitive ", sensitive), func(t *testing.T) {
					r := random{rand.New(rand.NewPCG(8, uint64(typ.ID)))}
					check := func(rows, n, k int, w window) {
						m := newProduct(typ, precision, rows, n, k, rows%2 == 0, r)
						m.spec.Sensitive = sensitive
						m.check(t, w)
					}
					for _, k := range []int{256, 288, 320, 768, 1152} {
						for _, rows := range []int{1, 8, 9, 16, 17, 32, 35} {
							check(rows, 65, k, window{0, rows, 0, 3})
						}
						check(50, 96, k, window{5, 50, 1, 3})
					}
					check(3, 33, 4096+256, window{0, 3, 0, 2})
				})
			}
		}
	}
}

// TestGreatestWordsAtTheFence: equal numbers make the greatest sum that norms allow, and rounding makes it greater.
func TestGreatestWordsAtTheFence(t *testing.T) {
	typ, _ := quant.ByName("F32")
	for _, k := range []int{1, 2, 3, 7, 384, 1537, 1<<15 + 1, 1 << 16} {
		m := newProduct(typ, device.Fast, 2, 33, k, false, random{rand.New(rand.NewPCG(6, 6))})
		for i := range m.weights {
			m.weights[i] = 0.37
		}
		for i := range m.x {
			m.x[i] = -1.9
		}
		m.check(t, window{0, 2, 0, 2})
	}
}

// TestGreatestCodesAtTheFence: the largest codes of both sides, of either sign, alone and mixed. Sums of them are the
// greatest there are, in int16 too (kernels_codes_nibbles.h).
func TestGreatestCodesAtTheFence(t *testing.T) {
	for _, typ := range forms() {
		if typ.Codes == nil {
			continue
		}
		for _, n := range []numbers{same{0x80, 1}, same{0x80, -1}, same{0x7f, 1}, same{0x7f, -1}, newEnds()} {
			for _, precision := range []device.Precision{device.Exact, device.Fast} {
				for _, k := range []int{96, 128} {
					newProduct(typ, precision, 20, 33, k, false, n).check(t, window{0, 20, 0, 2})
				}
			}
		}
	}
}

// same draws one number, again and again.
type same struct {
	code   byte
	number float32
}

func (s same) byte() byte      { return s.code }
func (s same) finite() float32 { return s.number }

// ends draws numbers that become the least and the greatest codes.
type ends struct{ *rand.Rand }

func newEnds() ends { return ends{rand.New(rand.NewPCG(7, 7))} }

func (e ends) byte() byte      { return 0x7f + byte(e.IntN(2)) }
func (e ends) finite() float32 { return float32(2*e.IntN(2) - 1) }

// TestColumnsTooLongForWords stay floats.
func TestColumnsTooLongForWords(t *testing.T) {
	typ, _ := quant.ByName("F32")
	s := device.TensorSpec{Shape: tensor.Shape{1, 1 << 16}, Type: typ, Role: device.Matrix}
	require.Equal(t, Words, kernelSets[0].arithmetic(s, device.Fast))
	s.Shape[1]++
	require.Equal(t, Floats, kernelSets[0].arithmetic(s, device.Fast))
}

// check compares a window of the product over all sets and with float64.
func (m *product) check(t testing.TB, w window) {
	got := everySet(t, func(s *kernelSet, f *fence) []float32 { return m.run(s, f, w) })
	stride := m.outStride()
	from, to := w.p0*32, min(m.n, w.p1*32)
	requireGaps(t, got, stride, from, to)
	var part []float32
	for r := range m.rows {
		if row := got[r*stride:]; r >= w.r0 && r < w.r1 {
			part = append(part, row[from:to]...)
		} else {
			requireGaps(t, row[:m.n], stride, 0, 0)
		}
	}
	want, bound := m.want(w)
	requireNear(t, want, bound, part)
}
