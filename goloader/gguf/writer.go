package gguf

import (
	"bytes"
	"encoding/binary"

	"gguf-stream/goloader/tensor"
)

// Writer makes headers of GGUF files, byte for byte as gguf-py does. It is for tests and for the generator of test
// models: the header is held in memory, and nothing is checked, so that broken files can be made.
type Writer struct {
	Version   uint32
	Order     binary.ByteOrder
	Alignment int64
	pairs     bytes.Buffer
	infos     bytes.Buffer
	pairCount int
	tensors   int
	next      int64 // offset of the next tensor in the data
}

// NewWriter writes version 3, little-endian, alignment 32.
func NewWriter() *Writer {
	return &Writer{Version: 3, Order: binary.LittleEndian, Alignment: defaultAlignment}
}

// number puts any fixed-size number.
func (w *Writer) number(b *bytes.Buffer, v any) { _ = binary.Write(b, w.Order, v) }

func (w *Writer) length(b *bytes.Buffer, n uint64) {
	if w.Version == 1 {
		w.number(b, uint32(n))
	} else {
		w.number(b, n)
	}
}

func (w *Writer) text(b *bytes.Buffer, s string) {
	w.length(b, uint64(len(s)))
	b.WriteString(s)
}

// goType is the value type of a Go value.
func goType(v any) ValueType {
	switch v.(type) {
	case uint8:
		return U8
	case int8:
		return I8
	case uint16:
		return U16
	case int16:
		return I16
	case uint32:
		return U32
	case int32:
		return I32
	case float32:
		return F32
	case bool:
		return Bool
	case string:
		return String
	case uint64:
		return U64
	case int64:
		return I64
	case float64:
		return F64
	}
	return Array
}

// Add adds a pair: a number, a bool, a string, or a slice ([]any for nested arrays) of one kind.
func (w *Writer) Add(key string, v any) {
	w.text(&w.pairs, key)
	w.number(&w.pairs, uint32(goType(v)))
	w.value(&w.pairs, v)
	w.pairCount++
}

// AddRaw adds a pair whose type and value are given as bytes.
func (w *Writer) AddRaw(key string, typ uint32, value []byte) {
	w.text(&w.pairs, key)
	w.number(&w.pairs, typ)
	w.pairs.Write(value)
	w.pairCount++
}

func (w *Writer) value(b *bytes.Buffer, v any) {
	switch x := v.(type) {
	case string:
		w.text(b, x)
	case []string:
		w.arrayHead(b, String, len(x))
		for _, s := range x {
			w.text(b, s)
		}
	case []int32:
		w.arrayHead(b, I32, len(x))
		w.number(b, x)
	case []float32:
		w.arrayHead(b, F32, len(x))
		w.number(b, x)
	case []uint8:
		w.arrayHead(b, U8, len(x))
		b.Write(x)
	case []any:
		element := Array
		if len(x) > 0 {
			element = goType(x[0])
		}
		w.arrayHead(b, element, len(x))
		for _, e := range x {
			w.value(b, e)
		}
	default:
		w.number(b, v)
	}
}

func (w *Writer) arrayHead(b *bytes.Buffer, t ValueType, n int) {
	w.number(b, uint32(t))
	w.length(b, uint64(n))
}

// AddTensor adds a tensor info; the data of all tensors follows the header in this order, each padded.
func (w *Writer) AddTensor(name string, shape tensor.Shape, typeID uint32, size int64) {
	w.AddTensorAt(name, shape, typeID, w.next)
	w.next = w.Padded(w.next + size)
}

// AddTensorAt adds a tensor info with any offset.
func (w *Writer) AddTensorAt(name string, shape tensor.Shape, typeID uint32, offset int64) {
	w.text(&w.infos, name)
	w.number(&w.infos, uint32(len(shape)))
	for i := len(shape) - 1; i >= 0; i-- {
		w.length(&w.infos, uint64(shape[i]))
	}
	w.number(&w.infos, typeID)
	w.number(&w.infos, uint64(offset))
	w.tensors++
}

// Padded rounds up to the alignment.
func (w *Writer) Padded(n int64) int64 { return (n + w.Alignment - 1) / w.Alignment * w.Alignment }

// Header is everything before the data, padded if there are tensors.
func (w *Writer) Header() []byte { return w.HeaderWithCounts(uint64(w.tensors), uint64(w.pairCount)) }

// HeaderWithCounts lies about the counts.
func (w *Writer) HeaderWithCounts(tensors, pairs uint64) []byte {
	var b bytes.Buffer
	b.WriteString(magic)
	w.number(&b, w.Version)
	w.length(&b, tensors)
	w.length(&b, pairs)
	b.Write(w.pairs.Bytes())
	b.Write(w.infos.Bytes())
	if w.tensors > 0 {
		b.Write(make([]byte, w.Padded(int64(b.Len()))-int64(b.Len())))
	}
	return b.Bytes()
}

// DataBytes is the size of all tensors' data, padding included.
func (w *Writer) DataBytes() int64 { return w.next }
