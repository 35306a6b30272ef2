package reference

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// value is a tensor written out in a test.
type value struct {
	role  device.Role
	shape tensor.Shape
	data  []float32
}

func table(rows, columns int64, data ...float32) value {
	return value{device.Lookup, tensor.Shape{rows, columns}, data}
}

func matrix(rows, columns int64, data ...float32) value {
	return value{device.Matrix, tensor.Shape{rows, columns}, data}
}

func vector(data ...float32) value {
	return value{device.Vector, tensor.Shape{int64(len(data))}, data}
}

// newDevice fails the test when a region is left at its end.
func newDevice(t testing.TB) *Device {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, ledger.Total(), "bytes left")
		require.Zero(t, ledger.Counters().Regions.Load(), "regions left")
	})
	return New(ledger)
}

func f32(t testing.TB) *quant.Type {
	typ, ok := quant.ByName("F32")
	require.True(t, ok)
	return typ
}

func blocksOf(values []float32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		u := math.Float32bits(v)
		b = append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return b
}

func load(t testing.TB, d *Device, values []value) device.Weights {
	specs := make([]device.TensorSpec, len(values))
	for i, v := range values {
		specs[i] = device.TensorSpec{Name: string(rune('a' + i)), Shape: v.shape, Type: f32(t), Role: v.role}
	}
	w, err := d.NewWeights(specs, device.Exact)
	require.NoError(t, err)
	t.Cleanup(w.Close)
	for i, v := range values {
		b := w.Builder(i)
		require.NoError(t, b.Append(blocksOf(v.data)))
		require.NoError(t, b.Finalise())
	}
	require.NoError(t, w.Seal())
	return w
}

// none is a step's absent tensors and slots.
var none = device.Step{Add: device.NoSlot, Bias: device.NoTensor, Positions: device.NoTensor, Types: device.NoTensor}

func step(op device.Op, in, out device.SlotID, set func(*device.Step)) device.Step {
	s := none
	s.Op, s.In, s.Out = op, in, out
	if set != nil {
		set(&s)
	}
	return s
}

// embedFirst is tensor 0 as the lookup table of slot 0: the steps after it see its rows.
func embedFirst() device.Step { return step(device.OpEmbed, device.NoSlot, 0, nil) }

// TestStepsByHand runs each step over rows that an embedding table holds, and compares with results
// worked out on paper. Two texts: ids 0 1 | 2.
func TestStepsByHand(t *testing.T) {
	ids, offsets := []uint32{0, 1, 2}, []uint32{0, 2, 3}
	phi := func(x float64) float64 { return 0.5 * (1 + math.Erf(x/math.Sqrt2)) }
	sigma := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	norm := 1 / math.Sqrt(1+0.5) // rows (1,3): mean 2, variance 1, epsilon 0.5
	soft := math.Exp(1) / (math.Exp(1) + math.Exp(0))
	for _, c := range []struct {
		name    string
		tensors []value
		slots   []int
		hidden  int
		rotary  []float32
		steps   []device.Step
		last    []float64 // pooled by the last token: [2 texts, hidden]
		mean    []float64
	}{
		{name: "embed alone", tensors: []value{table(3, 2, 1, 2, 3, 4, 5, 6)}, slots: []int{2}, hidden: 2,
			steps: []device.Step{embedFirst()}, last: []float64{3, 4, 5, 6}, mean: []float64{2, 3, 5, 6}},
		{name: "embed with positions and types", slots: []int{2}, hidden: 2,
			tensors: []value{table(3, 2, 1, 2, 3, 4, 5, 6), table(2, 2, 10, 20, 30, 40), table(2, 2, 100, 200, -1, -1)},
			steps:   []device.Step{step(device.OpEmbed, device.NoSlot, 0, func(s *device.Step) { s.Positions, s.Types = 1, 2 })},
			last:    []float64{133, 244, 115, 226}, mean: []float64{122, 233, 115, 226}},
		{name: "norm with residual, weight and bias", slots: []int{2, 2}, hidden: 2,
			tensors: []value{table(3, 2, 9, 9, .5, 1.5, .5, 1.5), vector(10, 100), vector(1, 2)},
			steps: []device.Step{embedFirst(), step(device.OpNorm, 0, 1, func(s *device.Step) {
				s.Add, s.Weight, s.Bias, s.Epsilon = 0, 1, 2, 0.5
			})},
			last: []float64{1 - 10*norm, 2 + 100*norm, 1 - 10*norm, 2 + 100*norm}},
		{name: "linear into a column", slots: []int{3, 3}, hidden: 3,
			tensors: []value{table(3, 3, 0, 0, 0, 3, 4, 9, 5, 6, 9), matrix(2, 2, 1, 2, -1, 1), vector(100, 200)},
			steps:   []device.Step{embedFirst(), step(device.OpLinear, 0, 1, func(s *device.Step) { s.Weight, s.Bias, s.Column = 1, 2, 1 })},
			last:    []float64{0, 111, 201, 0, 117, 201}},
		{name: "linear over the first columns alone", slots: []int{2, 1}, hidden: 1,
			tensors: []value{table(3, 2, 0, 0, 3, 4, 5, 6), matrix(1, 1, 7)},
			steps:   []device.Step{embedFirst(), step(device.OpLinear, 0, 1, func(s *device.Step) { s.Weight = 1 })},
			last:    []float64{21, 35}},
		{name: "gelu in place", slots: []int{2}, hidden: 2, tensors: []value{table(3, 2, 0, 0, 1, -2, 0, .5)},
			steps: []device.Step{embedFirst(), step(device.OpActivate, 0, 0, func(s *device.Step) { s.Columns, s.Activation = 2, device.GELU })},
			last:  []float64{phi(1), -2 * phi(-2), 0, .5 * phi(.5)}},
		{name: "gated silu", slots: []int{4}, hidden: 2, tensors: []value{table(3, 4, 0, 0, 0, 0, 1, -2, 10, 100, 0, 3, 5, -1)},
			steps: []device.Step{embedFirst(), step(device.OpActivate, 0, 0, func(s *device.Step) { s.Columns, s.Activation = 2, device.GatedSiLU })},
			last:  []float64{10 * sigma(1), -200 * sigma(-2), 0, -3 * sigma(3)}},
		{name: "gated gelu", slots: []int{4, 2}, hidden: 2, tensors: []value{table(3, 4, 0, 0, 0, 0, 1, -2, 10, 100, 0, 3, 5, -1)},
			steps: []device.Step{embedFirst(), step(device.OpActivate, 0, 1, func(s *device.Step) { s.Columns, s.Activation = 2, device.GatedGELU })},
			last:  []float64{10 * phi(1), -200 * phi(-2), 0, -3 * phi(3)}},
		// a quarter turn at position 1, none at position 0: (p, q) becomes (-q, p); column 0 is left alone
		{name: "rotary pairs j and j + half", slots: []int{5}, hidden: 5, rotary: []float32{1, 0, 1, 0, 0, 1, 0, 1},
			tensors: []value{table(3, 5, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 8, 5, 6, 7, 8)},
			steps:   []device.Step{embedFirst(), step(device.OpRotary, 0, 0, func(s *device.Step) { s.Column, s.Heads, s.HeadSize = 1, 1, 4 })},
			last:    []float64{9, -3, -4, 1, 2, 8, 5, 6, 7, 8}},
		// two heads of one column: q (1,2), k (1,0)/(0,1), v (10,20)/(30,40) at the second token of text 0;
		// scores of head 0: ½·1·(2, 0) and of head 1: ½·2·(0, 1)
		{name: "attention within a text", slots: []int{6, 2}, hidden: 2,
			tensors: []value{table(3, 6, 0, 0, 2, 0, 10, 20, 1, 2, 0, 1, 30, 40, 5, 5, 5, 5, 7, 8)},
			steps:   []device.Step{embedFirst(), step(device.OpAttention, 0, 1, func(s *device.Step) { s.Heads, s.HeadSize, s.Scale = 2, 1, .5 })},
			last:    []float64{10*soft + 30*(1-soft), 40*soft + 20*(1-soft), 7, 8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDevice(t)
			program := &device.Program{HiddenSize: c.hidden, Steps: c.steps, MaxTokens: 2, Tables: device.Tables{Rotary: c.rotary}}
			for _, n := range c.slots {
				program.Slots = append(program.Slots, device.Slot{Columns: n})
			}
			program.Result = c.steps[len(c.steps)-1].Out
			// the table's rows are as wide as slot 0; wide enough for OpEmbed's hidden size
			if c.slots[0] != c.hidden {
				program.HiddenSize = c.slots[0]
				program.Slots[program.Result].Columns = max(c.slots[0], program.Slots[program.Result].Columns)
			}
			e, err := d.Compile(program, load(t, d, c.tensors))
			require.NoError(t, err)
			defer e.Close()
			for _, want := range []struct {
				pooling device.Pooling
				values  []float64
			}{{device.PoolLast, c.last}, {device.PoolMean, c.mean}} {
				if want.values == nil {
					continue
				}
				out := make([]float32, 2*program.HiddenSize)
				require.NoError(t, e.Run(&device.Batch{IDs: ids, Offsets: offsets, Pooling: want.pooling, Out: out}))
				for i, v := range want.values {
					got := out[i/c.hidden*program.HiddenSize+i%c.hidden]
					require.InDelta(t, v, float64(got), 1e-6*max(1, math.Abs(v)), "pooling %d, value %d", want.pooling, i)
				}
			}
		})
	}
}

func compileTable(t *testing.T, d *Device) device.Executable {
	p := &device.Program{HiddenSize: 2, Slots: []device.Slot{{Columns: 2}}, Steps: []device.Step{embedFirst()}, MaxTokens: 3}
	e, err := d.Compile(p, load(t, d, []value{table(3, 2, 1, 2, 3, 5, 5, 11)}))
	require.NoError(t, err)
	return e
}

func TestPoolings(t *testing.T) {
	e := compileTable(t, newDevice(t))
	for pooling, want := range map[device.Pooling][]float32{
		device.PoolMean: {3, 6}, device.PoolCLS: {1, 2}, device.PoolLast: {5, 11},
	} {
		out := make([]float32, 2)
		require.NoError(t, e.Run(&device.Batch{IDs: []uint32{0, 1, 2}, Offsets: []uint32{0, 3}, Pooling: pooling, Out: out}))
		require.Equal(t, want, out, "pooling %d", pooling)
	}
}

func TestBadBatches(t *testing.T) {
	e := compileTable(t, newDevice(t))
	good := device.Batch{IDs: []uint32{0, 1, 2}, Offsets: []uint32{0, 1, 3}, Pooling: device.PoolMean, Out: make([]float32, 4)}
	require.NoError(t, e.Run(&good))
	for name, spoil := range map[string]func(*device.Batch){
		"id out of the table":      func(b *device.Batch) { b.IDs = []uint32{0, 1, 3} },
		"empty text":               func(b *device.Batch) { b.Offsets = []uint32{0, 0, 3} },
		"offsets falling":          func(b *device.Batch) { b.Offsets = []uint32{0, 4, 3} },
		"offsets short of the ids": func(b *device.Batch) { b.Offsets = []uint32{0, 1, 2} },
		"no offsets":               func(b *device.Batch) { b.Offsets = nil },
		"offsets not from 0":       func(b *device.Batch) { b.Offsets = []uint32{1, 2, 3} },
		"text too long":            func(b *device.Batch) { b.IDs, b.Offsets = []uint32{0, 0, 0, 0, 0}, []uint32{0, 1, 5} },
		"no pooling":               func(b *device.Batch) { b.Pooling = device.PoolNone },
		"unknown pooling":          func(b *device.Batch) { b.Pooling = 9 },
		"room for another result":  func(b *device.Batch) { b.Out = make([]float32, 5) },
	} {
		b := good
		spoil(&b)
		require.Equal(t, errs.ArgumentInvalid, errs.From(e.Run(&b)).Code, name)
	}
	b := good
	b.Cancelled = new(atomic.Uint32)
	require.NoError(t, e.Run(&b))
	b.Cancelled.Store(1)
	require.Equal(t, errs.Aborted, errs.From(e.Run(&b)).Code)
}

func TestBadPrograms(t *testing.T) {
	d := newDevice(t)
	w := load(t, d, []value{table(3, 2, 1, 2, 3, 4, 5, 6), matrix(2, 2, 1, 2, 3, 4), vector(1, 2, 3)})
	for name, s := range map[string]device.Step{
		"unknown op":             step(99, 0, 0, nil),
		"absent slot":            step(device.OpActivate, 0, 7, func(s *device.Step) { s.Columns = 2 }),
		"gate wider than slot":   step(device.OpActivate, 0, 1, func(s *device.Step) { s.Columns, s.Activation = 2, device.GatedSiLU }),
		"linear in place":        step(device.OpLinear, 0, 0, func(s *device.Step) { s.Weight = 1 }),
		"linear past the slot":   step(device.OpLinear, 0, 1, func(s *device.Step) { s.Weight, s.Column = 1, 1 }),
		"bias of another length": step(device.OpLinear, 0, 1, func(s *device.Step) { s.Weight, s.Bias = 1, 2 }),
		"norm of another length": step(device.OpNorm, 0, 1, func(s *device.Step) { s.Weight = 2 }),
		"absent tensor":          step(device.OpNorm, 0, 1, func(s *device.Step) { s.Weight = 5 }),
		"vector as a matrix":     step(device.OpLinear, 0, 1, func(s *device.Step) { s.Weight = 2 }),
		"positions too few":      step(device.OpEmbed, 0, 0, func(s *device.Step) { s.Positions = 1 }),
		"no rotary table":        step(device.OpRotary, 0, 0, func(s *device.Step) { s.Heads, s.HeadSize = 1, 2 }),
		"attention past slot":    step(device.OpAttention, 0, 1, func(s *device.Step) { s.Heads, s.HeadSize = 1, 1 }),
	} {
		p := &device.Program{HiddenSize: 2, Slots: []device.Slot{{Columns: 2}, {Columns: 2}}, Steps: []device.Step{s}, MaxTokens: 3}
		_, err := d.Compile(p, w)
		require.Error(t, err, name)
		require.Equal(t, errs.InternalFault, errs.From(err).Code, name)
	}
}

func TestUnfinishedWeightsAreRefused(t *testing.T) {
	d := newDevice(t)
	specs := []device.TensorSpec{{Name: "a", Shape: tensor.Shape{2}, Type: f32(t), Role: device.Vector}}
	w, err := d.NewWeights(specs, device.Exact)
	require.NoError(t, err)
	defer w.Close()
	require.EqualValues(t, 8, w.Bytes())
	_, err = d.Compile(&device.Program{}, w)
	require.Error(t, err, "not sealed")
	require.Equal(t, errs.DeviceTensorCount, errs.From(w.Seal()).Code)
	b := w.Builder(0)
	require.NoError(t, b.AppendFloats([]float32{1}))
	require.Equal(t, errs.DeviceTensorCount, errs.From(w.Seal()).Code, "one element is missing")

	for name, bad := range map[string]device.TensorSpec{
		"matrix of one dimension": {Shape: tensor.Shape{2}, Role: device.Matrix},
		"vector of two":           {Shape: tensor.Shape{2, 2}, Role: device.Vector},
		"nothing in it":           {Shape: tensor.Shape{0}, Role: device.Vector},
		"product overflows":       {Shape: tensor.Shape{1 << 40, 1 << 40}, Role: device.Matrix},
	} {
		bad.Type = f32(t)
		_, err := d.NewWeights([]device.TensorSpec{bad}, device.Exact)
		require.Equal(t, errs.ModelTensor, errs.From(err).Code, name)
	}
	integers, _ := quant.ByName("I32")
	_, err = d.WeightBytes([]device.TensorSpec{{Shape: tensor.Shape{2}, Role: device.Vector, Type: integers}}, device.Exact)
	require.Equal(t, errs.TensorType, errs.From(err).Code)
}

// TestFeedsAgree: blocks, codes and floats of the same random blocks end as the same float32, for every type.
func TestFeedsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range quant.Types() {
		typ := &quant.Types()[i]
		if typ.Decode == nil {
			continue
		}
		const blocks = 8
		raw := make([]byte, blocks*typ.BlockBytes)
		for j := range raw {
			raw[j] = byte(r.Uint32())
		}
		n := blocks * typ.BlockElements
		want, got := make([]float32, n), make([]float32, n)
		typ.Decode(want, raw)
		p := &packer{spec: device.TensorSpec{Type: typ, Role: device.Matrix}, values: got}
		require.Equal(t, typ.Codes != nil, p.Feed() == device.FeedCodes, typ.Name)
		if c := typ.Codes; c != nil {
			codes, scales, mins := make([]int8, n), make([]float32, n/c.SubBlock), make([]float32, n/c.SubBlock)
			c.Expand(codes, scales, mins, raw)
			require.NoError(t, p.PackCodes(0, codes, scales, mins))
		} else {
			require.NoError(t, p.PackBlocks(0, raw))
		}
		for j := range want {
			v, w := got[j], want[j]
			require.True(t, v == w || v != v || w != w, "%s element %d: %g, want %g", typ.Name, j, v, w)
		}
	}
}
