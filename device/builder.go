package device

import "gguf-stream/goloader/errs"

// Feed says in which form a packer wants a tensor's elements.
type Feed uint8

// The feeds.
const (
	FeedBlocks Feed = iota // the file's blocks, unchanged
	FeedCodes              // integer codes, scales and mins (quant.CodesForm)
	FeedFloats             // float32
)

// Packer is a device's half of a TensorBuilder: it puts elements [first, first+n) of a tensor, counted
// row by row, into the device's own form. Calls come in order and cover every element once.
type Packer interface {
	Feed() Feed
	// PackBlocks: whole blocks of the tensor's type.
	PackBlocks(first int64, blocks []byte) error
	// PackCodes: n = len(codes); one scale (and min, where the type has them) a sub-block.
	PackCodes(first int64, codes []int8, scales, mins []float32) error
	// PackFloats: n = len(values).
	PackFloats(first int64, values []float32) error
	// Finish is called once after the last element.
	Finish() error
}

// TensorBuilder takes a tensor's elements in order into space of their final size, and refuses too many or too few.
type TensorBuilder struct {
	spec     TensorSpec
	packer   Packer
	elements int64 // wanted
	next     int64 // appended so far
	done     bool
}

// NewTensorBuilder joins a spec and a device's packer. The caller has checked the spec's shape.
func NewTensorBuilder(spec TensorSpec, packer Packer) *TensorBuilder {
	n, _ := spec.Shape.Elements()
	return &TensorBuilder{spec: spec, packer: packer, elements: n}
}

// Feed says which Append to call.
func (b *TensorBuilder) Feed() Feed { return b.packer.Feed() }

// AppendBlocks appends whole blocks of the tensor's type.
func (b *TensorBuilder) AppendBlocks(blocks []byte) error {
	t := b.spec.Type
	n := int64(len(blocks)/t.BlockBytes) * int64(t.BlockElements)
	first, err := b.take(n)
	if err != nil {
		return err
	}
	return b.packer.PackBlocks(first, blocks)
}

// AppendCodes appends codes with their scales and mins (quant.CodesForm.Expand's output).
func (b *TensorBuilder) AppendCodes(codes []int8, scales, mins []float32) error {
	first, err := b.take(int64(len(codes)))
	if err != nil {
		return err
	}
	return b.packer.PackCodes(first, codes, scales, mins)
}

// AppendFloats appends values.
func (b *TensorBuilder) AppendFloats(values []float32) error {
	first, err := b.take(int64(len(values)))
	if err != nil {
		return err
	}
	return b.packer.PackFloats(first, values)
}

// Append appends whole blocks of the tensor's type in the form that Feed asks for, through buffers of its own. It is for
// small tensors of finite numbers, as tests make them; package stream does it for a model's.
func (b *TensorBuilder) Append(blocks []byte) error {
	t := b.spec.Type
	n := len(blocks) / t.BlockBytes * t.BlockElements
	switch b.Feed() {
	case FeedCodes:
		codes, scales, mins := make([]int8, n), make([]float32, n/t.Codes.SubBlock), []float32(nil)
		if t.Codes.Min {
			mins = make([]float32, len(scales))
		}
		t.Codes.Expand(codes, scales, mins, blocks)
		return b.AppendCodes(codes, scales, mins)
	case FeedFloats:
		values := make([]float32, n)
		t.Decode(values, blocks)
		return b.AppendFloats(values)
	}
	return b.AppendBlocks(blocks)
}

func (b *TensorBuilder) take(n int64) (first int64, err error) {
	if b.done || n > b.elements-b.next {
		return 0, errs.New(errs.DeviceTensorCount, b.spec.Name,
			"tensor %s has %d elements; %d more were appended after %d", b.spec.Name, b.elements, n, b.next)
	}
	first = b.next
	b.next += n
	return first, nil
}

// Finalise ends the tensor. It refuses one with elements missing.
func (b *TensorBuilder) Finalise() error {
	if b.next != b.elements {
		return errs.New(errs.DeviceTensorCount, b.spec.Name,
			"tensor %s has %d elements; only %d were appended", b.spec.Name, b.elements, b.next)
	}
	b.done = true
	return b.packer.Finish()
}

// CheckFinalised is what Weights.Seal begins with: every tensor of the specs must have been built.
func CheckFinalised(specs []TensorSpec, builders []*TensorBuilder) error {
	for i, b := range builders {
		if b == nil || !b.done {
			return errs.New(errs.DeviceTensorCount, specs[i].Name, "tensor %s was not loaded", specs[i].Name)
		}
	}
	return nil
}
