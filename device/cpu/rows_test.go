package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// rowLengths: all remainders of 16 lanes twice, and real widths.
var rowLengths = append(sequence(1, 35), 47, 48, 49, 384, 1023)

func sequence(from, to int) (s []int) {
	for i := from; i <= to; i++ {
		s = append(s, i)
	}
	return s
}

// special are numbers of which only the bits are compared.
var special = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32,
	math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1)), 1e-38, 88.8, -88.8, 6, -6, 126, -126}

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 6))} }

// ordinary numbers are those whose results are compared with float64.
func (r random) ordinary() float32 { return float32(r.NormFloat64() * 3) }

func (r random) extreme() float32 {
	if r.IntN(3) == 0 {
		return special[r.IntN(len(special))]
	}
	return r.finite()
}

// eachKind runs a check with ordinary numbers and with extreme ones, of which no bound is asked.
func eachKind(r random, check func(next func() float32, bounded bool)) {
	check(r.ordinary, true)
	check(r.finite, false)
	check(r.extreme, false)
}

func TestPrepareAtTheFence(t *testing.T) {
	r := newRandom(1)
	zero, tiny := func() float32 { return 0 }, func() float32 { return 1e-42 }
	for _, next := range []func() float32{r.ordinary, r.finite, zero, tiny} {
		for _, k := range []int{32, 64, 96, 384} {
			checkPrepare(t, "Q8_0", device.Exact, draw(k, next))
			checkPrepare(t, "Q4_0", device.Exact, draw(k, next))
			checkPrepare(t, "Q8_0", device.Fast, draw(k, next))
			checkPrepare(t, "Q4_0", device.Fast, draw(k, next))
		}
		for _, k := range append([]int{1 << 16}, rowLengths...) {
			checkPrepare(t, "F16", device.Fast, draw(k, next))
		}
	}
}

// checkPrepare: for a matrix of the type all sets give the same codes, their sums are right, and code·scale is the number
// within half a step.
func checkPrepare(t *testing.T, typ string, p device.Precision, x []float32) {
	for _, sums := range []bool{false, true} {
		checkPrepared(t, typ, p, x, sums)
	}
}

func checkPrepared(t *testing.T, typ string, p device.Precision, x []float32, sums bool) {
	k := len(x)
	of, _ := quant.ByName(typ)
	m := &product{spec: device.TensorSpec{Type: of, Shape: tensor.Shape{1, int64(k)}}, precision: p, rows: 1, k: k, x: x, sums: sums}
	m.arithmetic = kernelSets[0].arithmetic(m.spec, p)
	var codes []int32
	scales := everySet(t, func(s *kernelSet, f *fence) []float32 {
		a := m.prepare(s, f)
		unsigned := int32(0)
		if p == device.Exact {
			unsigned = int32(s.form(m.spec, p).zero)
		}
		for i, sum := range a.sums {
			if m.arithmetic == Words || unsigned != 0 {
				break // has none
			}
			for j := range 16 {
				sum -= a.code(s, m.spec, p, 16*i+j)
			}
			require.Zero(t, sum, "%s: the sum of 16 codes", s.name)
		}
		for i, zero := range a.zeros {
			if unsigned == 0 {
				break // is fast's, part of its codes
			}
			for j := range 32 {
				zero += unsigned * a.code(s, m.spec, p, 32*i+j)
			}
			require.Zero(t, zero, "%s: what the zero of the matrix's codes takes off", s.name)
		}
		got := make([]int32, k)
		for i := range got {
			got[i] = a.code(s, m.spec, p, i)
		}
		if codes == nil {
			codes = got
		}
		require.Equal(t, codes, got, s.name)
		return a.scales
	})
	norm := 0.0
	for i, c := range codes {
		norm += float64(c) * float64(c)
		require.LessOrEqual(t, max(c, -c), int32(32512))
		scale := float64(scales[i*len(scales)/k])
		require.InDelta(t, float64(x[i]), float64(c)*scale, 0.51*scale+1e-30)
	}
	if m.arithmetic == Words {
		require.LessOrEqual(t, math.Sqrt(norm), 46340.0)
	}
}

// TestNormAtTheFence: rows with gaps between them, in another place and in their own, together and alone.
func TestNormAtTheFence(t *testing.T) {
	const rows, epsilon = 6, 1e-5
	r := newRandom(2)
	for _, n := range rowLengths {
		stride := n + 3
		eachKind(r, func(next func() float32, bounded bool) {
			x, w, b := drawRows(rows, n, stride, next), draw(n, r.ordinary), draw(n, r.ordinary)
			for _, add := range [][]float32{nil, drawRows(rows, n, stride, next)} {
				norm := func(s *kernelSet, f *fence, rows int, x, add, out []float32) []float32 {
					s.norm(x, add, stride, rows, place(f, w), place(f, b), out, epsilon)
					return out
				}
				got := everySet(t, func(s *kernelSet, f *fence) []float32 {
					return norm(s, f, rows, place(f, x), place(f, add), place(f, unwritten(rows, n, stride)))
				})
				requireGaps(t, got, stride, 0, n)
				requireSame(t, got, everySet(t, func(s *kernelSet, f *fence) []float32 {
					own := place(f, x)
					return norm(s, f, rows, own, place(f, add), own)
				}), "in place")
				for at := 0; at < len(x); at += stride {
					row, rest := x[at:][:n], add
					if add != nil {
						rest = add[at:][:n]
					}
					requireSame(t, got[at:][:n], everySet(t, func(s *kernelSet, f *fence) []float32 {
						return norm(s, f, 1, place(f, row), place(f, rest), place(f, unwritten(1, n, n)))
					}), "alone")
					if bounded {
						want, bound := wantNorm(row, rest, w, b)
						requireNear(t, want, bound, got[at:][:n])
					}
				}
			}
		})
	}
}

// drawRows draws rows whose gaps are untouched.
func drawRows(rows, n, stride int, next func() float32) []float32 {
	x := unwritten(rows, n, stride)
	for i := range x {
		if i%stride < n {
			x[i] = next()
		}
	}
	return x
}

func wantNorm(x, add, w, b []float32) (want, bound []float64) {
	y, mean, variance := make([]float64, len(x)), 0.0, 0.0
	for i := range y {
		y[i] = float64(x[i])
		if add != nil {
			y[i] += float64(add[i])
		}
		mean += y[i] / float64(len(y))
	}
	for _, v := range y {
		variance += (v - mean) * (v - mean) / float64(len(y))
	}
	scale := 1 / math.Sqrt(variance+1e-5)
	for i, v := range y {
		want = append(want, (v-mean)*scale*float64(w[i])+float64(b[i]))
		// the mean's error counts against the deviation: a row of one number has none
		size := (1 + math.Abs(v) + math.Abs(mean)) * scale
		bound = append(bound, 1e-6*(math.Abs(float64(w[i]))*size+math.Abs(float64(b[i]))))
	}
	return want, bound
}

func TestActivateAtTheFence(t *testing.T) {
	r := newRandom(3)
	for _, p := range []device.Precision{device.Exact, device.Fast} {
		for _, a := range []device.Activation{device.GELU, device.GatedSiLU, device.GatedGELU} {
			for _, n := range rowLengths {
				eachKind(r, func(next func() float32, bounded bool) {
					in := draw(n, next)
					if a.Gated() {
						in = append(in, draw(n, r.ordinary)...)
					}
					testActivate(t, p, a, in, n, bounded)
				})
			}
		}
	}
}

func testActivate(t *testing.T, p device.Precision, a device.Activation, in []float32, n int, bounded bool) {
	got := everySet(t, func(s *kernelSet, f *fence) []float32 {
		out := place(f, unwritten(1, n, n))
		s.activate(p, a, place(f, in), out, n)
		return out
	})
	requireSame(t, got, everySet(t, func(s *kernelSet, f *fence) []float32 {
		row := place(f, in)
		s.activate(p, a, row, row, n)
		return row[:n]
	}), "in place")
	if bounded {
		want, bound := wantActivation(p, a, in, n)
		requireNear(t, want, bound, got)
	}
}

// wantActivation: GELU's polynomials are within 4e-7 and, in Fast, 8e-5 (kernels_numbers.h), exp within an ulp of its argument.
func wantActivation(p device.Precision, a device.Activation, in []float32, n int) (want, bound []float64) {
	for i, v := range in[:n] {
		x, up, e := float64(v), 1.0, 1e-6*(1+math.Abs(float64(v)))
		y := x / 2 * math.Erfc(-x/math.Sqrt2)
		switch {
		case a == device.GatedSiLU:
			y = x / (1 + math.Exp(-x))
		case p == device.Fast:
			e = 8e-5
		}
		if a.Gated() {
			up = float64(in[n+i])
		}
		want = append(want, y*up)
		bound = append(bound, e*math.Abs(up))
	}
	return want, bound
}

func TestRotateAtTheFence(t *testing.T) {
	r := newRandom(4)
	for heads := 1; heads <= 3; heads++ {
		for size := 2; size <= 70; size += 2 {
			eachKind(r, func(next func() float32, bounded bool) {
				row, table := draw(heads*size, next), draw(size, r.ordinary)
				got := everySet(t, func(s *kernelSet, f *fence) []float32 {
					out := place(f, row)
					s.rotate(out, place(f, table), heads, size)
					return out
				})
				if bounded {
					want, bound := wantRotation(row, table, size)
					requireNear(t, want, bound, got)
				}
			})
		}
	}
}

func wantRotation(row, table []float32, size int) (want, bound []float64) {
	half := size / 2
	for i := range row {
		j := i % size
		cos, sin := float64(table[j%half*2]), float64(table[j%half*2+1])
		x, y := float64(row[i-j+j%half]), float64(row[i-j+j%half+half])
		if j < half {
			want = append(want, x*cos-y*sin)
		} else {
			want = append(want, y*cos+x*sin)
		}
		bound = append(bound, 2e-7*(math.Abs(x)+math.Abs(y))*(math.Abs(cos)+math.Abs(sin)))
	}
	return want, bound
}

func TestMeanAtTheFence(t *testing.T) {
	r := newRandom(5)
	for _, n := range rowLengths {
		for _, rows := range []int{1, 2, 3, 16, 17} {
			eachKind(r, func(next func() float32, bounded bool) {
				stride := n + 3
				x := draw((rows-1)*stride+n, next)
				got := everySet(t, func(s *kernelSet, f *fence) []float32 {
					out := place(f, unwritten(1, n, n))
					s.mean(place(f, x), stride, rows, out)
					return out
				})
				if !bounded {
					return
				}
				want, bound := make([]float64, n), make([]float64, n)
				for i := range want {
					for row := range rows {
						v := float64(x[row*stride+i])
						want[i] += v / float64(rows)
						bound[i] += 2e-7 * math.Abs(v)
					}
				}
				requireNear(t, want, bound, got)
			})
		}
	}
}

var attentions = []attentionOf{ofFloats, ofCodes, ofFast}

func TestAttentionAtTheFence(t *testing.T) {
	for _, size := range []int{1, 6, 16, 24, 32, 33, 64, 80} {
		for _, heads := range []int{1, 3} {
			t.Run(fmt.Sprint(heads, " heads of ", size), func(t *testing.T) {
				r := newRandom(uint64(size))
				for _, rows := range []int{1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 65, 66, 81, 130} {
					a := attentionShape{rows: rows, heads: heads, size: size, stride: 3*heads*size + 5, outStride: heads*size + 7}
					for _, of := range attentions {
						checkAttention(t, of, r, a, r.ordinary, true)
						checkAttention(t, of, r, a, r.finite, false) // no infinities: which bits 2^NaN has is left to the processor
					}
				}
			})
		}
	}
}

func checkAttention(t *testing.T, of attentionOf, r random, a attentionShape, next func() float32, bounded bool) {
	width := a.heads * a.size
	qkv := draw((a.rows-1)*a.stride+3*width, next)
	scale := float32(0.3 / math.Sqrt(float64(a.size)))
	got := everySet(t, func(s *kernelSet, f *fence) []float32 {
		out := place(f, unwritten(a.rows, width, a.outStride))
		scratch := place(f, draw(a.scratchFloats(), r.extreme)) // whatever an earlier call left
		s.attention(of, a, place(f, qkv), out, scratch, scale)
		return out
	})
	requireGaps(t, got, a.outStride, 0, width)
	if !bounded {
		return
	}
	for row := range a.rows {
		for h := range a.heads {
			want, bound := wantAttention(of, a, qkv, scale, row, h)
			requireNear(t, want, bound, got[row*a.outStride+h*a.size:][:a.size])
		}
	}
}

// TestLargeScoresAreOfFloats: above the limit of scores codes give the bits of floats, below it others, and never what is
// out of bounds.
func TestLargeScoresAreOfFloats(t *testing.T) {
	a := attentionShape{rows: 100, heads: 2, size: 32, stride: 192, outStride: 64}
	attend := func(of attentionOf, times float32) (out []float32) {
		r := newRandom(4)
		next := func() float32 { return times * r.ordinary() }
		checkAttention(t, of, r, a, next, true)
		f := &fence{t: t, atEnd: true}
		defer f.release()
		to := place(f, unwritten(a.rows, 64, a.outStride))
		availableSets()[0].attention(of, a, place(f, draw(a.rows*a.stride, next)), to, place(f, make([]float32, a.scratchFloats())), 0.05)
		return append(out, to...)
	}
	require.NotEqual(t, attend(ofFloats, 1), attend(ofCodes, 1))
	require.Equal(t, attend(ofFloats, 2), attend(ofCodes, 2))
}

// TestAttentionOfALongText: 8,192 tokens need room for a head's keys and values, not for their square.
func TestAttentionOfALongText(t *testing.T) {
	a := attentionShape{rows: 8192, heads: 1, size: 32, stride: 96, outStride: 32}
	require.Less(t, a.scratchFloats(), 3*a.rows*a.size)
	r := newRandom(9)
	qkv := draw(a.rows*a.stride, r.ordinary)
	for _, of := range attentions {
		t.Run(fmt.Sprint(of), func(t *testing.T) {
			f := &fence{t: t, atEnd: true}
			defer f.release()
			out, scratch := place(f, unwritten(a.rows, a.size, a.outStride)), place(f, draw(a.scratchFloats(), r.extreme))
			availableSets()[0].attention(of, a, place(f, qkv), out, scratch, 0.1)
			for _, row := range []int{0, 1, 4095, 8190, 8191} {
				want, bound := wantAttention(of, a, qkv, 0.1, row, 0)
				requireNear(t, want, bound, out[row*a.outStride:][:a.size])
			}
		})
	}
}

// TestGreatestScoresAtTheFence: numbers of one size give the largest codes and sums there can be; half of the keys are the
// query's opposites, which a sum that left int32 would prefer.
func TestGreatestScoresAtTheFence(t *testing.T) {
	for _, size := range []int{1, 8, 32, 33, 64, 128, 256} {
		a := attentionShape{rows: 130, heads: 1, size: size, stride: 3 * size, outStride: size}
		i := 0
		next := func() float32 {
			row, column := i/(3*size), i%(3*size)
			i++
			if column >= size && row%2 == 1 {
				return -1
			}
			return 1
		}
		for _, of := range attentions {
			i = 0
			checkAttention(t, of, newRandom(1), a, next, true)
		}
	}
}

// TestAttentionKeepsManySmallWeights: of codes, too, 8,000 keys of little weight each are not lost beside one of
// much weight, whose value is nothing.
func TestAttentionKeepsManySmallWeights(t *testing.T) {
	a := attentionShape{rows: 8192, heads: 1, size: 16, stride: 48, outStride: 16}
	qkv := make([]float32, a.rows*a.stride)
	for row := range a.rows {
		qkv[row*a.stride] = 1 // queries
		for d := range a.size {
			qkv[row*a.stride+32+d] = float32(1 + d)
		}
	}
	const sink = 5000
	qkv[sink*a.stride+16] = 11 // the sink's weight is e^11 = 59874 others'
	clear(qkv[sink*a.stride+32:][:a.size])
	for _, of := range attentions {
		f := &fence{t: t, atEnd: true}
		out := place(f, unwritten(a.rows, a.size, a.outStride))
		availableSets()[0].attention(of, a, place(f, qkv), out, place(f, make([]float32, a.scratchFloats())), 1)
		rest := float64(a.rows-1) / (float64(a.rows-1) + math.Exp(11))
		for d := range a.size {
			require.InEpsilon(t, rest*float64(1+d), out[d], 1e-2)
		}
		f.release()
	}
}

// wantAttention is one head of one row: a score's error is that of its sum, and every weight's error is
// bounded by the largest score's. Of codes their errors come on top.
func wantAttention(of attentionOf, a attentionShape, qkv []float32, scale float32, row, head int) (want, bound []float64) {
	width := a.heads * a.size
	q := qkv[row*a.stride+head*a.size:][:a.size]
	key := func(j int) []float32 { return qkv[j*a.stride+width+head*a.size:][:a.size] }
	value := func(j int) []float32 { return qkv[j*a.stride+2*width+head*a.size:][:a.size] }
	scores, top, size := make([]float64, a.rows), math.Inf(-1), 0.0
	for j := range scores {
		magnitude := 0.0
		for d, k := range key(j) {
			p := float64(q[d]) * float64(k) * float64(scale)
			scores[j] += p
			magnitude += math.Abs(p)
		}
		top, size = max(top, scores[j]), max(size, magnitude)
	}
	total := 0.0
	for j := range scores {
		scores[j] = math.Exp(scores[j] - top)
		total += scores[j]
	}
	of = ofOneHead(of, a, qkv, scale, head)
	relative, rounding, step := 1e-6*(1+size), 0.0, 0.0 // of weights, of their codes, and half a code of values
	if of != ofFloats {
		norm, largest, keyNorm := normOf(q), 0.0, 0.0
		for j := range scores {
			largest, keyNorm = max(largest, magnitudeOf(key(j))), max(keyNorm, normOf(key(j)))
		}
		code := func(norm, most float64) float64 { return max(norm/45900, most/32767) }
		half := math.Sqrt(float64(a.size)) / 2
		queries, keys := half*code(norm, magnitudeOf(q)), half*code(keyNorm, largest)
		relative += 2 * math.Expm1(float64(scale)*(queries*keyNorm+keys*norm+queries*keys))
	}
	switch of {
	case ofCodes:
		rounding, step = weightsRounding(scores)/total, 1.0/65000
	case ofFast:
		relative += 2e-4                               // of the powers
		rounding = float64(a.rows) / (1 << 14) / total // half a code beside the largest, of each weight and of their sum
		step = 1.0 / 4000
	}
	want, bound = make([]float64, a.size), make([]float64, a.size)
	for d := range want {
		largest := 0.0
		for j, s := range scores {
			v := float64(value(j)[d])
			want[d] += s / total * v
			bound[d] += s/total*math.Abs(v)*relative + 1e-30
			largest = max(largest, math.Abs(v))
		}
		bound[d] += largest * (rounding + step)
	}
	return want, bound
}

// ofOneHead is what a head of ofCodes is really of: short texts and large scores are of floats.
func ofOneHead(of attentionOf, a attentionShape, qkv []float32, scale float32, head int) attentionOf {
	norms := [2]float64{} // of queries and keys
	for row := range a.rows {
		for i := range norms {
			norms[i] = max(norms[i], normOf(qkv[row*a.stride+(i*a.heads+head)*a.size:][:a.size]))
		}
	}
	if of == ofCodes && (a.rows <= 64 || norms[0]*norms[1]*float64(scale)*math.Log2E > 96.01) {
		return ofFloats
	}
	return of
}

// weightsRounding is half a code of every weight: the codes of a block of keys add up to 2^16, and none is above 2^15.
func weightsRounding(weights []float64) (sum float64) {
	for block := range slices.Chunk(weights, 64) {
		top, total := slices.Max(block), 0.0
		for _, w := range block {
			total += w
		}
		sum += 0.51 * float64(len(block)) * max(total/65408, top/32767)
	}
	return sum
}

func normOf(x []float32) float64 {
	squares := 0.0
	for _, v := range x {
		squares += float64(v) * float64(v)
	}
	return math.Sqrt(squares)
}

func magnitudeOf(x []float32) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}
