package cpu

// #include <exec.h>
import "C"

import (
	"unsafe"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
)

// form is the packed form of a matrix for the set's kernels.
func (k *kernelSet) form(s device.TensorSpec, p device.Precision) C.gsk_form {
	t, c, columns := s.Type, s.Type.Codes, s.Shape.Columns()
	if c == nil {
		if p == device.Fast && columns <= C.GSK_WORDS_K {
			return C.gsk_form{storage: C.GSK_WORDS}
		}
		if narrow := fastPaths[t.Name].storage; narrow != 0 {
			return C.gsk_form{storage: narrow}
		}
		return C.gsk_form{storage: C.GSK_F32}
	}
	f := C.gsk_form{storage: C.GSK_CODES8, sub_block: C.int32_t(c.SubBlock), has_min: flag(c.Min), half_scale: flag(c.HalfScale),
		unit: k.c.exact_unit}
	if c.Bits == 4 {
		f.storage = C.GSK_CODES4
		for i, v := range c.Table {
			f.table[i] = C.int8_t(v)
		}
	}
	switch {
	case p == device.Fast:
		f.unit, f.fast = k.c.fast_unit, 1
		if c.Bits == 4 && k.c.nibbles != 0 {
			C.gsk_count(&f)
		}
		if fastPaths[t.Name].joined && !s.Sensitive && columns%C.GSK_JOINED == 0 {
			f.sub_block = C.GSK_JOINED
		}
	case k.c.q8_zero != 0 && C.gsk_is_q8(&f) != 0:
		f.unit, f.zero = 4, k.c.q8_zero
	}
	return f
}

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// isCodes says whether a form holds the type's own codes.
func isCodes(f *C.gsk_form) bool { return f.storage == C.GSK_CODES8 || f.storage == C.GSK_CODES4 }

// packedBytes is what a tensor takes on this device, a multiple of 64.
func (k *kernelSet) packedBytes(s device.TensorSpec, p device.Precision) (int64, error) {
	elements, ok := s.Shape.Elements()
	if !ok {
		return 0, errs.New(errs.ModelTensor, s.Name, "tensor %s has an impossible shape %v", s.Name, s.Shape)
	}
	n := elements * 4
	switch s.Role {
	case device.Lookup:
		n, ok = s.Type.Bytes(elements)
	case device.Matrix:
		m := k.matrix(s, p, nil)
		n = int64(m.panel_bytes) * ((s.Shape.Rows() + C.GSK_PANEL - 1) / C.GSK_PANEL)
	}
	if !ok {
		return 0, errs.New(errs.ModelTensor, s.Name, "tensor %s has an impossible shape %v", s.Name, s.Shape)
	}
	return aligned(n), nil
}

// aligned is n rounded up to whole cache lines.
func aligned(n int64) int64 { return int64(C.gsk_up(C.int64_t(n), C.GSK_ALIGN)) }

func (k *kernelSet) matrix(s device.TensorSpec, p device.Precision, data []byte) C.gsk_matrix {
	m := C.gsk_matrix{n: C.int64_t(s.Shape.Rows()), k: C.int64_t(s.Shape.Columns()), form: k.form(s, p)}
	m.data = (*C.uint8_t)(unsafe.SliceData(data))
	m.panel_bytes = C.int64_t(C.gsk_panel_bytes(&m.form, m.k))
	return m
}

// scratchBytes is what packing a tensor needs beside its place, a multiple of 64.
func (k *kernelSet) scratchBytes(s device.TensorSpec, p device.Precision) int64 {
	if s.Role != device.Matrix || k.form(s, p).storage != C.GSK_WORDS {
		return 0
	}
	return aligned(int64(C.gsk_words_scratch(C.int64_t(s.Shape.Columns()))))
}

// packer implements device.Packer for one tensor of the weights region.
type packer struct {
	set     *C.gsk_kernel_set
	spec    device.TensorSpec
	data    []byte
	scratch []byte        // scratchBytes, of one packer at a time
	matrix  *C.gsk_matrix // Matrix only
}

func (k *kernelSet) newPacker(s device.TensorSpec, p device.Precision, data, scratch []byte) *packer {
	to := &packer{set: k.c, spec: s, data: data, scratch: scratch}
	if s.Role == device.Matrix {
		m := k.matrix(s, p, data)
		to.matrix = &m
	}
	return to
}

func (p *packer) Feed() device.Feed {
	switch {
	case p.spec.Role == device.Lookup, p.spec.Role == device.Matrix && fastPaths[p.spec.Type.Name].blocks:
		return device.FeedBlocks
	case p.spec.Role == device.Matrix && isCodes(&p.matrix.form):
		return device.FeedCodes
	}
	return device.FeedFloats
}

func (p *packer) PackBlocks(first int64, blocks []byte) error {
	if p.isWords() {
		p.packWords(first, int64(len(blocks)/p.spec.Type.BlockBytes), unsafe.SliceData(blocks), int64(p.spec.Type.BlockBytes), fastPaths[p.spec.Type.Name].read)
		return nil
	}
	if p.matrix != nil {
		C.gsk_pack_blocks(p.matrix, C.int64_t(first), C.int64_t(len(blocks)/p.spec.Type.BlockBytes), (*C.uint8_t)(unsafe.SliceData(blocks)))
		return nil
	}
	at, _ := p.spec.Type.Bytes(first)
	copy(p.data[at:], blocks)
	return nil
}

func (p *packer) PackCodes(first int64, codes []int8, scales, mins []float32) error {
	C.gsk_pack_codes(p.matrix, C.int64_t(first), C.int64_t(len(codes)), (*C.int8_t)(unsafe.SliceData(codes)),
		(*C.float)(unsafe.SliceData(scales)), (*C.float)(unsafe.SliceData(mins)))
	return nil
}

func (p *packer) PackFloats(first int64, values []float32) error {
	if p.matrix == nil {
		dst := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(p.data))), len(p.data)/4)
		copy(dst[first:], values)
		return nil
	}
	if p.isWords() {
		p.packWords(first, int64(len(values)), (*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4, fastPaths["F32"].read)
		return nil
	}
	C.gsk_pack_floats(p.matrix, C.int64_t(first), C.int64_t(len(values)), (*C.float)(unsafe.SliceData(values)))
	return nil
}

func (p *packer) isWords() bool { return p.matrix != nil && p.matrix.form.storage == C.GSK_WORDS }

// packWords packs n numbers of size bytes that read reads.
func (p *packer) packWords(first, n int64, values *byte, size int64, read C.gsk_read_row) {
	C.gsk_pack_words(p.set, p.matrix, C.int64_t(first), C.int64_t(n), (*C.uint8_t)(values), C.int64_t(size), read,
		unsafe.Pointer(unsafe.SliceData(p.scratch)))
}

func (p *packer) Finish() error { return nil }

// weights implements device.Weights: all tensors in one region.
type weights struct {
	device    *Device
	specs     []device.TensorSpec
	offsets   []int64 // [specs+1]
	region    *memory.Region
	precision device.Precision
	builders  []*device.TensorBuilder
}

// WeightBytes implements device.Device.
func (d *Device) WeightBytes(specs []device.TensorSpec, p device.Precision) (int64, error) {
	offsets, scratch, err := d.set.layOut(specs, p)
	return offsets[len(specs)] + scratch, err
}

// layOut says where each tensor begins in the region and where all end. Behind them is the scratch of whichever is
// packed: a row, so little that it stays.
func (k *kernelSet) layOut(specs []device.TensorSpec, p device.Precision) (offsets []int64, scratch int64, err error) {
	offsets = make([]int64, len(specs)+1)
	for i, s := range specs {
		n, err := k.packedBytes(s, p)
		if err != nil {
			return offsets, 0, err
		}
		offsets[i+1] = offsets[i] + n
		scratch = max(scratch, k.scratchBytes(s, p))
	}
	return offsets, scratch, nil
}

// NewWeights implements device.Device.
func (d *Device) NewWeights(specs []device.TensorSpec, p device.Precision) (device.Weights, error) {
	w := &weights{device: d, specs: specs, precision: p, builders: make([]*device.TensorBuilder, len(specs))}
	offsets, scratch, err := d.set.layOut(specs, p)
	if err != nil {
		return nil, err
	}
	w.offsets = offsets
	if w.region, err = d.config.Ledger.Allocate(memory.Weights, offsets[len(specs)]+scratch); err != nil {
		return nil, err
	}
	w.region.AdviseHuge()
	return w, nil
}

func (w *weights) data(i device.TensorID) []byte {
	return w.region.Bytes()[w.offsets[i]:w.offsets[i+1]]
}

func (w *weights) Builder(i int) *device.TensorBuilder {
	scratch := w.region.Bytes()[w.offsets[len(w.specs)]:]
	w.builders[i] = device.NewTensorBuilder(w.specs[i], w.device.set.newPacker(w.specs[i], w.precision, w.data(device.TensorID(i)), scratch))
	return w.builders[i]
}

func (w *weights) Seal() error {
	if err := device.CheckFinalised(w.specs, w.builders); err != nil {
		return err
	}
	w.builders = nil
	if err := w.region.Seal(); err != nil {
		return errs.Wrap(err, errs.MemoryAllocation, "weights", errs.NoOffset, "sealing the weights")
	}
	return nil
}

func (w *weights) Bytes() int64 { return w.region.Size() }

func (w *weights) Close() { w.region.Free() }
