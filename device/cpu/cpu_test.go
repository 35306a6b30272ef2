package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/device/reference"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// model is a random encoder: specs, the blocks of each tensor, and a program.
type model struct {
	specs   []device.TensorSpec
	blocks  [][]byte
	program *device.Program
	vocab   int
}

type shape struct {
	name                        string
	hidden, heads, wide, layers int
	matrix, lookup              string // types; several of matrices take turns
	activation                  device.Activation
	rotary                      bool
}

// shapes are awkward on purpose: head sizes 24 and 6, widths that are no multiples of 32, every form.
var shapes = []shape{
	{"F32 odd sizes", 30, 5, 41, 1, "F32", "F32", device.GELU, false},
	{"F16", 48, 2, 70, 2, "F16", "F16", device.GatedGELU, true},
	{"BF16", 33, 3, 20, 1, "BF16", "F32", device.GELU, false},
	{"Q8_0", 96, 4, 160, 2, "Q8_0", "Q8_0", device.GatedSiLU, true},
	{"Q4_0", 64, 1, 96, 1, "Q4_0", "Q4_0", device.GELU, false},
	{"Q4_1", 64, 2, 96, 1, "Q4_1", "F32", device.GELU, false},
	{"Q5_0", 64, 2, 32, 1, "Q5_0", "F32", device.GELU, false},
	{"Q5_1", 64, 2, 32, 1, "Q5_1", "F32", device.GELU, true},
	{"IQ4_NL", 32, 2, 64, 1, "IQ4_NL", "F32", device.GELU, false},
	{"MXFP4", 32, 2, 64, 1, "MXFP4", "F32", device.GELU, false},
	{"Q2_K", 256, 4, 256, 1, "Q2_K", "F32", device.GELU, false},
	{"Q3_K", 256, 4, 256, 1, "Q3_K", "F32", device.GELU, false},
	{"Q4_K", 256, 4, 256, 1, "Q4_K", "F32", device.GELU, false},
	{"Q5_K", 256, 4, 256, 1, "Q5_K", "F32", device.GELU, false},
	{"Q6_K", 256, 4, 256, 1, "Q6_K", "Q6_K", device.GELU, false},
	{"IQ4_XS", 256, 4, 256, 1, "IQ4_XS", "F32", device.GELU, false},
	{"TQ2_0", 256, 4, 256, 1, "TQ2_0", "F32", device.GELU, false},
	{"codes and words of one slot", 64, 2, 96, 1, "Q8_0 F16", "F32", device.GatedGELU, false},
}

const vocabulary = 19

func (s shape) model(r *rand.Rand) *model {
	m := &model{vocab: vocabulary}
	add := func(role device.Role, typeName string, dims ...int64) device.TensorID {
		t, ok := quant.ByName(typeName)
		if !ok {
			panic(typeName)
		}
		n, _ := tensor.Shape(dims).Elements()
		m.specs = append(m.specs, device.TensorSpec{Name: fmt.Sprint(len(m.specs)), Shape: dims, Type: t, Role: role})
		m.blocks = append(m.blocks, saneBlocks(r, t, n, role))
		return device.TensorID(len(m.specs) - 1)
	}
	h, wide := int64(s.hidden), int64(s.wide)
	vec := func(n int64) device.TensorID { return add(device.Vector, "F32", n) }
	p := &device.Program{HiddenSize: s.hidden, MaxTokens: 512, Result: 0, Slots: []device.Slot{{Columns: s.hidden, Kept: true},
		{Columns: 3 * s.hidden, Kept: true}, {Columns: s.hidden, Kept: true}, {Columns: s.hidden}, {Columns: 2 * s.wide}}}
	step := func(st device.Step) { p.Steps = append(p.Steps, st) }
	norm := func(in, residual device.SlotID) {
		step(device.Step{Op: device.OpNorm, In: in, Add: residual, Out: 0, Weight: vec(h), Bias: vec(h), Epsilon: 1e-12})
	}
	turns := strings.Fields(s.matrix)
	linear := func(in, out device.SlotID, n, k int64, column int) {
		step(device.Step{Op: device.OpLinear, In: in, Out: out, Column: column, Weight: add(device.Matrix, turns[0], n, k), Bias: vec(n)})
		turns = append(turns[1:], turns[0])
	}
	step(device.Step{Op: device.OpEmbed, In: device.NoSlot, Out: 0, Weight: add(device.Lookup, s.lookup, vocabulary, h),
		Positions: add(device.Lookup, "F32", 512, h), Types: device.NoTensor})
	norm(0, device.NoSlot)
	for range s.layers {
		for i := range 3 {
			linear(0, 1, h, h, i*s.hidden)
		}
		size := s.hidden / s.heads
		if s.rotary {
			step(device.Step{Op: device.OpRotary, In: 1, Out: 1, Heads: 2 * s.heads, HeadSize: size})
		}
		step(device.Step{Op: device.OpAttention, In: 1, Out: 2, Heads: s.heads, HeadSize: size, Scale: float32(1 / math.Sqrt(float64(size)))})
		linear(2, 3, h, h, 0)
		norm(3, 0)
		linear(0, 4, wide, h, 0)
		if s.activation.Gated() {
			linear(0, 4, wide, h, s.wide)
		}
		step(device.Step{Op: device.OpActivate, In: 4, Out: 4, Columns: s.wide, Activation: s.activation})
		linear(4, 3, h, wide, 0)
		norm(3, 0)
	}
	if s.rotary {
		p.Tables.Rotary = make([]float32, 512*s.hidden/s.heads)
		for i := range p.Tables.Rotary {
			p.Tables.Rotary[i] = float32(math.Sin(float64(i)))
		}
	}
	m.program = p
	return m
}

// saneBlocks are random blocks of values of order one.
func saneBlocks(r *rand.Rand, t *quant.Type, n int64, role device.Role) []byte {
	size, _ := t.Bytes(n)
	b := make([]byte, size)
	if t.BlockElements == 1 {
		for i := range n {
			f := float32(r.NormFloat64() * 0.3)
			if role == device.Vector {
				f++
			}
			putFloat(b, t.Name, int(i), f)
		}
		return b
	}
	for at := 0; at < len(b); at += t.BlockBytes {
		block := b[at:][:t.BlockBytes]
		values := make([]float32, t.BlockElements)
		for ok := false; !ok; { // blocks with other scales are drawn again
			for i := range block {
				block[i] = byte(r.Uint32())
			}
			t.Decode(values, block)
			ok = true
			for _, v := range values {
				ok = ok && math.Abs(float64(v)) < 2
			}
		}
	}
	return b
}

func putFloat(b []byte, name string, i int, f float32) {
	bits := math.Float32bits(f)
	switch name {
	case "F32":
		b[4*i], b[4*i+1], b[4*i+2], b[4*i+3] = byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24)
	case "BF16":
		b[2*i], b[2*i+1] = byte(bits>>16), byte(bits>>24)
	case "F16":
		h := uint16(bits>>16&0x8000) | uint16(max(int32(bits>>23&0xff)-112, 1))<<10 | uint16(bits>>13&0x3ff)
		b[2*i], b[2*i+1] = byte(h), byte(h>>8)
	}
}

func (m *model) load(t testing.TB, d device.Device, p device.Precision) device.Executable {
	w, err := d.NewWeights(m.specs, p)
	require.NoError(t, err)
	want, err := d.WeightBytes(m.specs, p)
	require.NoError(t, err)
	require.Equal(t, want, w.Bytes())
	for i, s := range m.specs {
		fill(t, w.Builder(i), s, m.blocks[i])
	}
	require.NoError(t, w.Seal())
	e, err := d.Compile(m.program, w)
	require.NoError(t, err)
	t.Cleanup(func() { e.Close(); w.Close() })
	return e
}

// fill appends a tensor in uneven parts.
func fill(t testing.TB, b *device.TensorBuilder, s device.TensorSpec, blocks []byte) {
	for part := 1; len(blocks) > 0; part++ {
		size := min(part*s.Type.BlockBytes, len(blocks))
		require.NoError(t, b.Append(blocks[:size]))
		blocks = blocks[size:]
	}
	require.NoError(t, b.Finalise())
}

func newDevice(t testing.TB, set string, threads int) *Device {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	d, err := New(Config{Ledger: ledger, Monitor: memory.ForNodejs(ledger), KernelSet: set, Threads: threads})
	require.NoError(t, err)
	t.Cleanup(func() { require.Zero(t, ledger.Total()); require.Zero(t, ledger.Counters().Reserved.Load()) })
	return d
}

func (m *model) texts(r *rand.Rand, lengths ...int) [][]uint32 {
	out := make([][]uint32, len(lengths))
	for i, n := range lengths {
		for range n {
			out[i] = append(out[i], r.Uint32N(uint32(m.vocab)))
		}
	}
	return out
}

func run(t testing.TB, e device.Executable, hidden int, texts [][]uint32, p device.Pooling) []float32 {
	b := &device.Batch{Offsets: []uint32{0}, Pooling: p, Out: make([]float32, len(texts)*hidden)}
	for _, ids := range texts {
		b.IDs = append(b.IDs, ids...)
		b.Offsets = append(b.Offsets, uint32(len(b.IDs)))
	}
	require.NoError(t, e.Run(b))
	return b.Out
}

func distance(a, b []float32) float64 {
	var na, nb, ab float64
	for i := range a {
		na += float64(a[i]) * float64(a[i])
		nb += float64(b[i]) * float64(b[i])
	}
	for i := range a {
		d := float64(a[i])/math.Sqrt(na) - float64(b[i])/math.Sqrt(nb)
		ab += d * d
	}
	return ab / 2
}

var lengths = []int{1, 2, 3, 5, 16, 17, 31, 64, 100, 130}

// TestEveryFormAgreesWithTheReference: all types and poolings of the best set, by bound. TestSetsGiveTheSameBits wants its
// bits of the others.
func TestEveryFormAgreesWithTheReference(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			m := s.model(r)
			ledger, err := memory.NewLedger()
			require.NoError(t, err)
			oracle := m.load(t, reference.New(ledger), device.Exact)
			texts := m.texts(r, lengths...)
			for p, bound := range map[device.Precision]float64{device.Exact: 2e-7, device.Fast: 2e-2} {
				e := m.load(t, newDevice(t, "", 2), p)
				for _, pooling := range []device.Pooling{device.PoolMean, device.PoolCLS, device.PoolLast} {
					want, got := run(t, oracle, s.hidden, texts, pooling), run(t, e, s.hidden, texts, pooling)
					for i := range texts {
						d := distance(want[i*s.hidden:][:s.hidden], got[i*s.hidden:][:s.hidden])
						require.LessOrEqual(t, d, bound, "%d tokens, precision %d", len(texts[i]), p)
					}
				}
			}
		})
	}
}

// TestSetsGiveTheSameBits: every set, alone, in any batch, in any order, with one or two threads.
func TestSetsGiveTheSameBits(t *testing.T) {
	lengths := lengths
	if testing.Short() {
		lengths = []int{1, 3, 17, 66}
	}
	type drawn struct {
		shape
		*model
		texts [][]uint32
		want  map[device.Precision][]float32
	}
	var models []drawn
	for _, s := range shapes {
		r := rand.New(rand.NewPCG(3, 4))
		m := s.model(r)
		models = append(models, drawn{s, m, m.texts(r, lengths...), map[device.Precision][]float32{}})
	}
	for _, info := range Sets() {
		t.Run(info.Name, func(t *testing.T) {
			needSet(t, info)
			r := rand.New(rand.NewPCG(3, 5))
			for _, d := range models {
				for _, p := range []device.Precision{device.Exact, device.Fast} {
					e := d.load(t, newDevice(t, info.Name, 2), p)
					all := run(t, e, d.hidden, d.texts, device.PoolMean)
					if d.want[p] == nil {
						d.want[p] = all
					}
					want := d.want[p]
					requireBits(t, want, all, d.name)
					for i := range d.texts {
						requireBits(t, want[i*d.hidden:][:d.hidden], run(t, e, d.hidden, d.texts[i:i+1], device.PoolMean), d.name+" alone")
					}
					order := r.Perm(len(d.texts))
					shuffled := make([][]uint32, len(d.texts))
					for i, j := range order {
						shuffled[i] = d.texts[j]
					}
					one := d.load(t, newDevice(t, info.Name, 1), p)
					got := run(t, one, d.hidden, shuffled, device.PoolMean)
					for i, j := range order {
						requireBits(t, want[j*d.hidden:][:d.hidden], got[i*d.hidden:][:d.hidden], d.name+" shuffled")
					}
				}
			}
		})
	}
}

func requireBits(t testing.TB, want, got []float32, what string) {
	for i := range want {
		if math.Float32bits(want[i]) != math.Float32bits(got[i]) {
			t.Fatalf("%s: value %d is %x, want %x", what, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
		}
	}
}

func TestForcedSets(t *testing.T) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	for _, name := range []string{"none", "AVX2"} {
		_, err = New(Config{Ledger: ledger, KernelSet: name})
		require.Equal(t, errs.KernelSet, errs.From(err).Code)
		require.Contains(t, err.Error(), "portable")
	}
	d, err := New(Config{Ledger: ledger, KernelSet: "portable"})
	require.NoError(t, err)
	require.Equal(t, "portable", d.KernelSet())
}

func TestBuildersRefuseTooManyAndTooFew(t *testing.T) {
	f32, _ := quant.ByName("F32")
	d := newDevice(t, "", 1)
	w, err := d.NewWeights([]device.TensorSpec{{Name: "v", Shape: tensor.Shape{4}, Type: f32, Role: device.Vector}}, device.Exact)
	require.NoError(t, err)
	defer w.Close()
	b := w.Builder(0)
	require.NoError(t, b.AppendFloats(make([]float32, 3)))
	require.Equal(t, errs.DeviceTensorCount, errs.From(b.Finalise()).Code)
	require.Error(t, w.Seal())
	require.Equal(t, errs.DeviceTensorCount, errs.From(b.AppendFloats(make([]float32, 2))).Code)
	require.NoError(t, b.AppendFloats(make([]float32, 1)))
	require.NoError(t, b.Finalise())
	require.NoError(t, w.Seal())
	require.Error(t, b.AppendFloats(slices.Repeat([]float32{1}, 1)))
}
