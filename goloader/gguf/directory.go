package gguf

import (
	"cmp"
	"math"
	"slices"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// TensorInfo is one tensor of a file.
type TensorInfo struct {
	Name   string
	Shape  tensor.Shape // outermost first; the file's ne[] reversed, once, here
	Type   *quant.Type
	Offset int64 // absolute, in its part
	Bytes  int64
	Part   int // index of the split file it lies in
}

// tensorEntry is a TensorInfo in the off-heap index: no Go pointers.
type tensorEntry struct {
	hash      uint64
	offset    int64
	bytes     int64
	dims      [limits.TensorDims]int64
	name      [limits.TensorNameBytes]byte
	nameBytes uint8
	dimCount  uint32
	typeID    uint32
	part      uint32
}

func (e *tensorEntry) nameOf() []byte { return e.name[:e.nameBytes] }

func (e *tensorEntry) info() TensorInfo {
	t, _ := quant.ByID(e.typeID)
	return TensorInfo{Name: string(e.nameOf()), Shape: slices.Clone(e.dims[:e.dimCount]), Type: t,
		Offset: e.offset, Bytes: e.bytes, Part: int(e.part)}
}

// readTensors reads a part's tensor infos. Offsets stay relative until the data's start is known.
func (f *File) readTensors(c *cursor, part int, count int64) error {
	for range count {
		e, err := c.tensorEntry(part)
		if err != nil {
			return err
		}
		name := e.nameOf()
		e.hash = f.tensors.hash(name)
		same := func(o *tensorEntry) (bool, error) { return string(o.nameOf()) == string(name), nil }
		if o, _ := f.tensors.find(e.hash, same); o != nil {
			return errs.At(errs.GGUFDuplicate, string(name), c.pos, "tensor %s stands twice in the file", name)
		}
		if err := f.tensors.add(e); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) tensorEntry(part int) (e tensorEntry, err error) {
	c.field = "tensor info"
	name, err := c.text(limits.TensorNameBytes, errs.GGUFTensor)
	if err != nil {
		return e, err
	}
	e.nameBytes, e.part = uint8(copy(e.name[:], name)), uint32(part)
	c.field = string(name)
	if err := c.dims(&e); err != nil {
		return e, err
	}
	at := c.pos
	if e.typeID, err = c.u32(); err != nil {
		return e, err
	}
	t, known := quant.ByID(e.typeID)
	if !known {
		return e, errs.At(errs.TensorType, c.field, at, "tensor %s has type id %d, which is not known", c.field, e.typeID)
	}
	offset, err := c.u64()
	if err != nil {
		return e, err
	}
	return e, c.sizes(&e, t, at, offset)
}

// dims reads n_dims and ne[], and turns them round.
func (c *cursor) dims(e *tensorEntry) error {
	at := c.pos
	n, err := c.u32()
	if err != nil {
		return err
	}
	if n > limits.TensorDims {
		return errs.At(errs.GGUFTensor, c.field, at, "tensor %s has %d dimensions; at most %d are allowed", c.field, n, limits.TensorDims)
	}
	e.dimCount = n
	for i := range n {
		at := c.pos
		d, err := c.length()
		if err != nil {
			return err
		}
		if d >= limits.TensorDim {
			return errs.At(errs.GGUFTensor, c.field, at, "dimension %d of tensor %s is %d; it must be below %d", i, c.field, d, int64(limits.TensorDim))
		}
		e.dims[n-1-i] = d
	}
	return nil
}

func (c *cursor) sizes(e *tensorEntry, t *quant.Type, at int64, offset uint64) error {
	shape := tensor.Shape(e.dims[:e.dimCount])
	n, ok := shape.Elements()
	if !ok {
		return errs.At(errs.GGUFTensor, c.field, at, "tensor %s: the product of its dimensions %v overflows", c.field, shape)
	}
	if shape.Columns()%int64(t.BlockElements) != 0 {
		return errs.At(errs.GGUFTensor, c.field, at, "tensor %s: rows of %d do not divide into blocks of %d (%s)", c.field, shape.Columns(), t.BlockElements, t.Name)
	}
	if e.bytes, ok = t.Bytes(n); !ok {
		return errs.At(errs.GGUFTensor, c.field, at, "tensor %s: %d elements of %s have no size", c.field, n, t.Name)
	}
	if offset > math.MaxInt64/2 {
		return errs.At(errs.GGUFTensor, c.field, at, "tensor %s lies at %d of the data, where no file reaches", c.field, offset)
	}
	e.offset = int64(offset)
	return nil
}

// locateTensors makes a part's tensor offsets absolute and checks that each lies aligned, inside the file and
// apart from the others. Gaps and any order are allowed, as in gguf-py; the padding behind the last
// tensor may be missing.
func (f *File) locateTensors(part int, first int, dataStart int64) error {
	src, alignment := f.parts[part].src, f.parts[part].alignment
	order := make([]uint32, 0, f.tensors.count-first)
	for i := first; i < f.tensors.count; i++ {
		e := &f.tensors.list[i]
		name := string(e.nameOf())
		aligned := e.offset%alignment == 0
		e.offset += dataStart
		if end := e.offset + e.bytes; e.bytes > src.Size() || end > src.Size() || end < 0 {
			return errs.At(errs.GGUFTruncated, name, src.Size(), "tensor %s ends at offset %d, but the file has %d bytes; download it again", name, end, src.Size())
		}
		if !aligned {
			return errs.At(errs.GGUFTensor, name, e.offset, "tensor %s lies at %d of the data, no multiple of the alignment %d", name, e.offset-dataStart, alignment)
		}
		order = append(order, uint32(i))
	}
	slices.SortFunc(order, func(a, b uint32) int {
		x, y := &f.tensors.list[a], &f.tensors.list[b]
		return cmp.Or(cmp.Compare(x.offset, y.offset), cmp.Compare(x.bytes, y.bytes))
	})
	for i := 1; i < len(order); i++ {
		a, b := &f.tensors.list[order[i-1]], &f.tensors.list[order[i]]
		if a.offset+a.bytes > b.offset {
			return errs.At(errs.GGUFTensor, string(b.nameOf()), b.offset, "tensor %s overlaps tensor %s", b.nameOf(), a.nameOf())
		}
	}
	return nil
}
