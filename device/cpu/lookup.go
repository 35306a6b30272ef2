package cpu

// #include <exec.h>
import "C"

import (
	"slices"
	"unsafe"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
)

func (e *executable) reader(id device.TensorID) (l C.gsk_lookup) {
	if id == device.NoTensor {
		return l
	}
	s := e.weights.specs[id]
	rowBytes, _ := s.Type.Bytes(s.Shape.Columns())
	l.read, l.row_bytes = fastPaths[s.Type.Name].read, C.int64_t(rowBytes)
	l.data = (*C.uint8_t)(unsafe.SliceData(e.weights.data(id)))
	e.decodes = e.decodes || l.read == nil
	return l
}

// checkIDs refuses ids that the token table has no row for: C would read elsewhere.
func (e *executable) checkIDs(b *device.Batch) error {
	if len(b.IDs) == 0 {
		return errs.New(errs.ArgumentInvalid, "batch", "a batch of no tokens")
	}
	rows := e.weights.specs[e.program.Steps[0].Weight].Shape.Rows()
	if most := slices.Max(b.IDs); int64(most) >= rows {
		return errs.New(errs.ArgumentInvalid, "batch", "token id %d; the table has %d rows", most, rows)
	}
	return nil
}

// embedBytes is the room that embed needs, in whole cache lines; 0 when C reads the tables.
func (e *executable) embedBytes(b *device.Batch) int64 {
	if !e.decodes {
		return 0
	}
	return aligned(int64(len(b.IDs)) * int64(e.program.HiddenSize) * 4)
}

// embed writes the sums of the lookup tables' rows: token, then position, then type 0 (gsk_embed).
func (e *executable) embed(dst []float32, b *device.Batch) {
	s := &e.program.Steps[0]
	h := e.program.HiddenSize
	row := make([]float32, h)
	for t := range b.Texts() {
		for i := b.Offsets[t]; i < b.Offsets[t+1]; i++ {
			out := dst[int(i)*h:][:h]
			e.lookup(out, s.Weight, b.IDs[i])
			if s.Positions != device.NoTensor {
				e.lookup(row[:h], s.Positions, i-b.Offsets[t])
				addRow(out, row)
			}
			if s.Types != device.NoTensor {
				e.lookup(row[:h], s.Types, 0)
				addRow(out, row)
			}
		}
	}
}

func (e *executable) lookup(dst []float32, table device.TensorID, id uint32) {
	s := e.weights.specs[table]
	rowBytes, _ := s.Type.Bytes(s.Shape.Columns())
	s.Type.Decode(dst, e.weights.data(table)[int64(id)*rowBytes:][:rowBytes])
}

func addRow(dst, src []float32) {
	for i := range dst {
		dst[i] += src[i]
	}
}
