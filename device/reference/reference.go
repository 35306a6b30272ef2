// Package reference is device.Device in plain Go, slow and obvious: the oracle of every test. Weights
// are decoded to float32, everything computed with them is float64, one row and one text after another.
//
//	TensorBuilder ──blocks | codes | floats──▶ float32, one region ──Seal──▶ read-only
//	Program ──Compile (checked)──▶ Run: slots [tokens, columns] float64 ──steps──▶ pooling ──▶ Out
//
// All three feeds are used, one a role, so that a load through this device proves each of them. Precision
// and Batch.Threads change nothing. Steps allocate a region of activations a run; nothing is kept between runs,
// and any number of runs may be under way at once.
package reference

import (
	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
)

// Device implements device.Device.
type Device struct{ ledger *memory.Ledger }

var _ device.Device = (*Device)(nil)

// New makes a device whose memory is counted by ledger.
func New(ledger *memory.Ledger) *Device { return &Device{ledger: ledger} }

// Name is "reference".
func (d *Device) Name() string { return "reference" }

// KernelSet is "": there is nothing to choose.
func (d *Device) KernelSet() string { return "" }

// dimensions of a spec's shape by role.
var dimensions = map[device.Role]int{device.Matrix: 2, device.Lookup: 2, device.Vector: 1}

// elementsOf checks a spec. ERR_MODEL_TENSOR for a shape that its role does not allow, ERR_TENSOR_TYPE
// for a type without values.
func elementsOf(s device.TensorSpec) (int64, error) {
	n, ok := s.Shape.Elements()
	if !ok || n == 0 || len(s.Shape) != dimensions[s.Role] {
		return 0, errs.New(errs.ModelTensor, s.Name, "tensor %s has shape %v; %d dimensions were expected", s.Name, s.Shape, dimensions[s.Role])
	}
	if s.Type.Decode == nil {
		return 0, errs.New(errs.TensorType, s.Name, "tensor %s is of type %s, which has no values to decode", s.Name, s.Type.Name)
	}
	return n, nil
}

// WeightBytes implements device.Device: four bytes an element.
func (d *Device) WeightBytes(specs []device.TensorSpec, _ device.Precision) (int64, error) {
	total := int64(0)
	for _, s := range specs {
		n, err := elementsOf(s)
		if err != nil {
			return 0, err
		}
		total += 4 * n
	}
	return total, nil
}

// NewWeights implements device.Device.
func (d *Device) NewWeights(specs []device.TensorSpec, p device.Precision) (device.Weights, error) {
	total, err := d.WeightBytes(specs, p)
	if err != nil {
		return nil, err
	}
	r, err := d.ledger.Allocate(memory.Weights, total)
	if err != nil {
		return nil, err
	}
	w := &weights{specs: specs, region: r, values: make([][]float32, len(specs)), builders: make([]*device.TensorBuilder, len(specs))}
	offset := int64(0)
	for i, s := range specs {
		n, _ := s.Shape.Elements()
		w.values[i] = memory.Slice[float32](r, offset, n)
		offset += 4 * n
	}
	return w, nil
}

// weights implements device.Weights.
type weights struct {
	specs    []device.TensorSpec
	region   *memory.Region
	values   [][]float32 // by tensor: its elements, row by row
	builders []*device.TensorBuilder
	sealed   bool
}

func (w *weights) Builder(i int) *device.TensorBuilder {
	w.builders[i] = device.NewTensorBuilder(w.specs[i], &packer{spec: w.specs[i], values: w.values[i]})
	return w.builders[i]
}

func (w *weights) Seal() error {
	if err := device.CheckFinalised(w.specs, w.builders); err != nil {
		return err
	}
	w.sealed = true
	if err := w.region.Seal(); err != nil {
		return errs.Wrap(err, errs.MemoryAllocation, "weights", errs.NoOffset, "sealing the weights")
	}
	return nil
}

func (w *weights) Bytes() int64 { return w.region.Size() }

func (w *weights) Close() { w.region.Free() }

// packer implements device.Packer: every form ends as float32.
type packer struct {
	spec   device.TensorSpec
	values []float32
}

func (p *packer) Feed() device.Feed {
	switch {
	case p.spec.Role == device.Lookup:
		return device.FeedBlocks
	case p.spec.Role == device.Matrix && p.spec.Type.Codes != nil:
		return device.FeedCodes
	}
	return device.FeedFloats
}

func (p *packer) PackBlocks(first int64, blocks []byte) error {
	n := len(blocks) / p.spec.Type.BlockBytes * p.spec.Type.BlockElements
	p.spec.Type.Decode(p.values[first:][:n], blocks)
	return nil
}

// PackCodes computes value = scale·code + min with two roundings to float32 (quant.CodesForm).
func (p *packer) PackCodes(first int64, codes []int8, scales, mins []float32) error {
	form := p.spec.Type.Codes
	for i := range codes {
		v := float32(scales[i/form.SubBlock] * float32(codeOf(form, codes[i])))
		if form.Min {
			v += mins[i/form.SubBlock]
		}
		p.values[first+int64(i)] = v
	}
	return nil
}

func codeOf(form *quant.CodesForm, code int8) int8 {
	if form.Bits == 4 {
		return form.Table[code]
	}
	return code
}

func (p *packer) PackFloats(first int64, values []float32) error {
	copy(p.values[first:], values)
	return nil
}

func (p *packer) Finish() error { return nil }
