// Package encoder turns an architecture's row and a file's tensors into a device.Program: the forward
// pass as data, read once from top to bottom by whatever device runs it.
//
//	gguf.File ─ReadConfig─▶ Config ─ReadLayout─▶ Layout (specs for the device, infos for the loader)
//	                                               │
//	                          Forward ◀────────────┘──▶ device.Program
//
//	x = norm(token + position + type 0)         without position or type where there are none
//	layers ×: x = norm(x + output(attention(qkv(x))));  x = norm(x + down(f(up(x))))
//	vector = finish(pool(x))
package encoder

import (
	"math"

	"gguf-stream/device"
	"gguf-stream/goloader/memory"
)

// the slots of a post-norm encoder
const (
	slotX    device.SlotID = iota // [hidden]: the residual stream
	slotQKV                       // [3·hidden]
	slotHead                      // [hidden]: attention's result
	slotY                         // [hidden]: a linear step's result before the residual
	slotWide                      // [feed-forward], twice that with a gate
)

// RotaryBytes is what Forward needs for its table, 0 without rotary positions.
func (c *Config) RotaryBytes() int64 {
	if c.Architecture.Positions != RotaryPositions {
		return 0
	}
	return int64(c.Context) * int64(c.HeadSize) * 4
}

// Forward writes the program. The rotary table is a region of the ledger's that the caller frees after
// the Executable; nil without rotary positions.
func Forward(c *Config, l *Layout, ledger *memory.Ledger) (*device.Program, *memory.Region, error) {
	wide := c.FeedForward
	if c.Architecture.Activation.Gated() {
		wide *= 2
	}
	h := c.HiddenSize
	p := &device.Program{HiddenSize: h, MaxTokens: c.Context, Result: slotX,
		Slots: []device.Slot{slotX: {Columns: h, Kept: true}, slotQKV: {Columns: 3 * h, Kept: true}, slotHead: {Columns: h, Kept: true},
			slotY: {Columns: h}, slotWide: {Columns: wide}}}
	b := builder{program: p, config: c}
	b.add(device.Step{Op: device.OpEmbed, In: device.NoSlot, Out: slotX, Weight: l.tokens, Positions: l.positions, Types: l.types})
	b.norm(slotX, device.NoSlot, l.norm)
	for _, t := range l.layers {
		b.layer(&t)
	}
	var table *memory.Region
	if n := c.RotaryBytes(); n > 0 {
		var err error
		if table, err = ledger.Allocate(memory.Weights, n); err != nil {
			return nil, nil, err
		}
		p.Tables.Rotary = memory.Slice[float32](table, 0, n/4)
		fillRotary(p.Tables.Rotary, c.Context, c.HeadSize, c.RotaryBase)
	}
	return p, table, nil
}

type builder struct {
	program *device.Program
	config  *Config
}

func (b *builder) add(s device.Step) { b.program.Steps = append(b.program.Steps, s) }

func (b *builder) layer(t *layerTensors) {
	c := b.config
	for _, m := range t.qkv {
		b.linear(slotX, slotQKV, m)
	}
	if c.Architecture.Positions == RotaryPositions {
		b.add(device.Step{Op: device.OpRotary, In: slotQKV, Out: slotQKV, Heads: 2 * c.Heads, HeadSize: c.HeadSize})
	}
	b.add(device.Step{Op: device.OpAttention, In: slotQKV, Out: slotHead, Heads: c.Heads, HeadSize: c.HeadSize,
		Scale: float32(1 / math.Sqrt(float64(c.HeadSize)))})
	b.linear(slotHead, slotY, t.output)
	b.norm(slotY, slotX, t.outputNorm)
	for _, m := range t.up {
		b.linear(slotX, slotWide, m)
	}
	b.add(device.Step{Op: device.OpActivate, In: slotWide, Out: slotWide, Columns: c.FeedForward, Activation: c.Architecture.Activation})
	b.linear(slotWide, slotY, t.down)
	b.norm(slotY, slotX, t.layerNorm)
}

func (b *builder) linear(in, out device.SlotID, t linearTensors) {
	b.add(device.Step{Op: device.OpLinear, In: in, Out: out, Column: t.column, Weight: t.weight, Bias: t.bias})
}

// norm writes x = norm(in + residual) to slotX.
func (b *builder) norm(in, residual device.SlotID, t normTensors) {
	b.add(device.Step{Op: device.OpNorm, In: in, Add: residual, Out: slotX, Weight: t.weight, Bias: t.bias, Epsilon: b.config.Epsilon})
}
