package embedder

import (
	"encoding/binary"
	"math"

	"gguf-stream/device"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// The self-test is one small encoder layer with matrices of four forms, run over three texts of different lengths.
const (
	selfHidden, selfHeads, selfWide, selfTokens = 64, 2, 96, 40
	half2to8                                    = 0x1c00 // 2^−8, the scale of its quantised blocks
)

// selfTest collects the layer's tensors and steps.
type selfTest struct {
	specs   []device.TensorSpec
	blocks  [][]byte
	program device.Program
}

func newSelfTest() *selfTest {
	const x, qkv, head, y, wide = device.SlotID(0), device.SlotID(1), device.SlotID(2), device.SlotID(3), device.SlotID(4)
	s := &selfTest{program: device.Program{HiddenSize: selfHidden, Result: x, MaxTokens: selfTokens,
		Slots: []device.Slot{{Columns: selfHidden, Kept: true}, {Columns: 3 * selfHidden, Kept: true}, {Columns: selfHidden, Kept: true}, {Columns: selfHidden}, {Columns: selfWide}}}}
	s.step(device.Step{Op: device.OpEmbed, In: device.NoSlot, Out: x, Weight: s.tensor("F32", device.Lookup, selfTokens, selfHidden),
		Positions: device.NoTensor, Types: device.NoTensor})
	s.norm(x, device.NoSlot)
	s.linear(x, qkv, "Q8_0", 3*selfHidden, selfHidden)
	s.step(device.Step{Op: device.OpAttention, In: qkv, Out: head, Heads: selfHeads, HeadSize: selfHidden / selfHeads, Scale: 0.25})
	s.linear(head, y, "F16", selfHidden, selfHidden)
	s.norm(y, x)
	s.linear(x, wide, "Q4_0", selfWide, selfHidden)
	s.step(device.Step{Op: device.OpActivate, In: wide, Out: wide, Columns: selfWide, Activation: device.GELU})
	s.linear(wide, y, "F32", selfHidden, selfWide)
	s.norm(y, x)
	return s
}

func (s *selfTest) step(st device.Step) { s.program.Steps = append(s.program.Steps, st) }

func (s *selfTest) norm(in, residual device.SlotID) {
	s.step(device.Step{Op: device.OpNorm, In: in, Add: residual, Out: 0, Epsilon: 1e-12,
		Weight: s.tensor("F32", device.Vector, selfHidden), Bias: s.tensor("F32", device.Vector, selfHidden)})
}

func (s *selfTest) linear(in, out device.SlotID, typeName string, rows, columns int64) {
	s.step(device.Step{Op: device.OpLinear, In: in, Out: out, Weight: s.tensor(typeName, device.Matrix, rows, columns), Bias: s.tensor("F32", device.Vector, rows)})
}

// tensor makes small numbers that are the same everywhere.
func (s *selfTest) tensor(typeName string, role device.Role, dims ...int64) device.TensorID {
	t, _ := quant.ByName(typeName)
	n, _ := tensor.Shape(dims).Elements()
	size, _ := t.Bytes(n)
	b := make([]byte, size)
	x := uint32(len(s.specs)+1) * 2654435761
	next := func() uint32 { x = x*1664525 + 1013904223; return x >> 16 }
	for at := 0; at < len(b); at += t.BlockBytes {
		switch typeName {
		case "F32":
			binary.LittleEndian.PutUint32(b[at:], math.Float32bits(float32(int(next()%2001)-1000)/1000))
		case "F16":
			binary.LittleEndian.PutUint16(b[at:], uint16(next()%0x3000|next()&1<<15)) // below 1/8
		default:
			for i := range t.BlockBytes {
				b[at+i] = byte(next())
			}
			binary.LittleEndian.PutUint16(b[at:], half2to8)
		}
	}
	s.specs = append(s.specs, device.TensorSpec{Shape: dims, Type: t, Role: role})
	s.blocks = append(s.blocks, b)
	return device.TensorID(len(s.specs) - 1)
}

// run gives the pooled vectors of three texts.
func (s *selfTest) run(d device.Device, p device.Precision) ([]float32, error) {
	w, err := d.NewWeights(s.specs, p)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	for i := range s.specs {
		b := w.Builder(i)
		if err := b.Append(s.blocks[i]); err != nil {
			return nil, err
		}
		if err := b.Finalise(); err != nil {
			return nil, err
		}
	}
	if err := w.Seal(); err != nil {
		return nil, err
	}
	e, err := d.Compile(&s.program, w)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	b := device.Batch{Offsets: []uint32{0, 1, 8, 37}, Pooling: device.PoolMean, Out: make([]float32, 3*selfHidden)}
	for i := range uint32(37) {
		b.IDs = append(b.IDs, i*7%selfTokens)
	}
	return b.Out, e.Run(&b)
}
