package stream

import (
	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
)

// smallestSubBlock is the fewest elements that share a scale in any codes form.
const smallestSubBlock = 16

// ChunkProcessor decodes chunks into one reused buffer of limits.DecodeElements float32, viewed as floats or,
// for devices that take them, as codes with their scales and mins.
type ChunkProcessor struct {
	floats []float32
	codes  []int8
	scales []float32
	mins   []float32
	part   TensorChunk // eachPart's, reused: a chunk costs no allocation
}

const (
	floatBytes  = limits.DecodeElements * 4
	subBlocks   = limits.DecodeElements / smallestSubBlock
	decodeBytes = floatBytes + 2*subBlocks*4
	ringBytes   = limits.RingChunks * limits.ChunkBytes
)

func newChunkProcessor(r *memory.Region, offset int64) *ChunkProcessor {
	return &ChunkProcessor{
		floats: memory.Slice[float32](r, offset, limits.DecodeElements),
		codes:  memory.Slice[int8](r, offset, limits.DecodeElements), // shares the floats' bytes
		scales: memory.Slice[float32](r, offset+floatBytes, subBlocks),
		mins:   memory.Slice[float32](r, offset+floatBytes+subBlocks*4, subBlocks),
	}
}

// Process hands a chunk to a builder in the form that it takes.
func (p *ChunkProcessor) Process(c *TensorChunk, b *device.TensorBuilder) error {
	switch b.Feed() {
	case device.FeedCodes:
		return p.eachPart(c, func(part *TensorChunk) error { return p.appendCodes(part, b) })
	case device.FeedFloats:
		return p.eachPart(c, func(part *TensorChunk) error { return p.appendFloats(part, b) })
	}
	// the device gets the blocks themselves: look at their values once, so that NaN is found at load
	if err := p.check(c); err != nil {
		return err
	}
	return b.AppendBlocks(c.Blocks)
}

// eachPart cuts a chunk into parts that fit the decode buffer.
func (p *ChunkProcessor) eachPart(c *TensorChunk, fn func(part *TensorChunk) error) error {
	t := c.Tensor.Type
	step := limits.DecodeElements / t.BlockElements
	for first, blocks := 0, c.Elements/t.BlockElements; first < blocks; first += step {
		n := min(step, blocks-first)
		part := &p.part
		*part = *c
		part.Offset += int64(first * t.BlockBytes)
		part.FirstElement += int64(first * t.BlockElements)
		part.Elements = n * t.BlockElements
		part.Blocks = c.Blocks[first*t.BlockBytes:][:n*t.BlockBytes]
		if err := fn(part); err != nil {
			return err
		}
	}
	return nil
}

func (p *ChunkProcessor) decode(c *TensorChunk) ([]float32, error) {
	t := c.Tensor.Type
	if t.Decode == nil {
		return nil, errs.At(errs.TensorType, c.Tensor.Name, c.Offset, "tensor %s is of type %s, which has no values to decode", c.Tensor.Name, t.Name)
	}
	values := p.floats[:c.Elements]
	t.Decode(values, c.Blocks)
	if i := quant.FirstNonFinite(values); i >= 0 {
		return nil, nonFinite(c, i/t.BlockElements)
	}
	return values, nil
}

func (p *ChunkProcessor) check(c *TensorChunk) error {
	t := c.Tensor.Type
	switch {
	case t.Halves:
		if i := t.FirstBadBlock(c.Blocks); i >= 0 {
			return nonFinite(c, i)
		}
		return nil
	case t.Codes != nil:
		return p.eachPart(c, func(part *TensorChunk) error { _, _, _, err := p.expand(part); return err })
	}
	return p.eachPart(c, func(part *TensorChunk) error { _, err := p.decode(part); return err })
}

func (p *ChunkProcessor) appendFloats(c *TensorChunk, b *device.TensorBuilder) error {
	values, err := p.decode(c)
	if err != nil {
		return err
	}
	return b.AppendFloats(values)
}

func (p *ChunkProcessor) appendCodes(c *TensorChunk, b *device.TensorBuilder) error {
	codes, scales, mins, err := p.expand(c)
	if err != nil {
		return err
	}
	return b.AppendCodes(codes, scales, mins)
}

func (p *ChunkProcessor) expand(c *TensorChunk) (codes []int8, scales, mins []float32, err error) {
	form := c.Tensor.Type.Codes
	n := c.Elements / form.SubBlock
	codes, scales = p.codes[:c.Elements], p.scales[:n]
	if form.Min {
		mins = p.mins[:n]
	}
	form.Expand(codes, scales, mins, c.Blocks)
	perBlock := c.Tensor.Type.BlockElements / form.SubBlock
	for _, values := range [][]float32{scales, mins} {
		if i := quant.FirstNonFinite(values); i >= 0 {
			return nil, nil, nil, nonFinite(c, i/perBlock)
		}
	}
	return codes, scales, mins, nil
}

func nonFinite(c *TensorChunk, block int) error {
	at := c.Offset + int64(block*c.Tensor.Type.BlockBytes)
	return errs.At(errs.GGUFNonFinite, c.Tensor.Name, at, "tensor %s has a NaN or infinite value in the block at offset %d; convert the model again", c.Tensor.Name, at)
}
