package stream

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// LoaderBytes is what a loader allocates, whatever the file: less than limits.WorkingBytes.
const LoaderBytes int64 = ringBytes + decodeBytes

var _ = uint(limits.WorkingBytes - LoaderBytes) // compile-time: a negative does not fit

// StreamingGGUFLoader streams tensors of one file. Close frees its buffers; the file stays the caller's.
type StreamingGGUFLoader struct {
	file      *gguf.File
	region    *memory.Region
	ring      []byte // limits.RingChunks chunks
	processor *ChunkProcessor
}

// NewLoader allocates the buffers.
func NewLoader(file *gguf.File, ledger *memory.Ledger) (*StreamingGGUFLoader, error) {
	r, err := ledger.Allocate(memory.Staging, LoaderBytes)
	if err != nil {
		return nil, err
	}
	ledger.Counters().Working.Store(r.Size())
	return &StreamingGGUFLoader{file: file, region: r, ring: r.Bytes()[:ringBytes],
		processor: newChunkProcessor(r, ringBytes)}, nil
}

// Close frees the buffers. Calling it again does nothing.
func (l *StreamingGGUFLoader) Close() { l.region.Free() }

// Stream iterates over one tensor, for who wants its chunks; loads read ahead instead. One stream of a loader may be under
// way at a time.
func (l *StreamingGGUFLoader) Stream(info gguf.TensorInfo) *TensorStream {
	return newTensorStream(l.file, info, l.ring[:limits.ChunkBytes])
}

// Target is a tensor and where it goes.
type Target struct {
	Info    gguf.TensorInfo
	Builder *device.TensorBuilder
}

// Progress is told the bytes of tensors loaded so far and in all, and the tensor under way.
type Progress func(loaded, total int64, tensor string)

// Load streams the targets in the order of the file. cancelled (may be nil) is looked at between
// chunks; progress may be nil. Whether the file has changed meanwhile is the caller's question (gguf.File.Conclude).
func (l *StreamingGGUFLoader) Load(targets []Target, cancelled *atomic.Uint32, progress Progress) error {
	order := slices.Clone(targets)
	slices.SortFunc(order, func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Info.Part, b.Info.Part), cmp.Compare(a.Info.Offset, b.Info.Offset))
	})
	var loaded, total int64
	infos := make([]gguf.TensorInfo, len(order))
	for i, t := range order {
		infos[i] = t.Info
		total += t.Info.Bytes
	}
	ahead := newReadAhead(l.file, infos, l.ring)
	defer ahead.stop()
	for _, t := range order {
		err := eachChunk(ahead, t.Info.Name, cancelled, func(c *TensorChunk) error {
			if err := l.processor.Process(c, t.Builder); err != nil {
				return err
			}
			loaded += int64(len(c.Blocks))
			if progress != nil {
				progress(loaded, total, t.Info.Name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := t.Builder.Finalise(); err != nil {
			return err
		}
	}
	return nil
}

// ReadFloats decodes a whole tensor into dst, which has as many values as the tensor has elements.
func (l *StreamingGGUFLoader) ReadFloats(info gguf.TensorInfo, dst []float32, cancelled *atomic.Uint32) error {
	return l.decode(info, cancelled, func(first int64, values []float32) { copy(dst[first:], values) })
}

// Survey decodes a whole tensor and keeps nothing: an error for values that are no numbers, and the most zeros in a row.
func (l *StreamingGGUFLoader) Survey(info gguf.TensorInfo, cancelled *atomic.Uint32) (zeros int64, err error) {
	run := int64(0)
	err = l.decode(info, cancelled, func(_ int64, values []float32) {
		for _, v := range values {
			if run++; v != 0 {
				run = 0
			}
			zeros = max(zeros, run)
		}
	})
	return zeros, err
}

// decode calls fn with all values of a tensor in order, a buffer of them at a time, and the number of the first.
func (l *StreamingGGUFLoader) decode(info gguf.TensorInfo, cancelled *atomic.Uint32, fn func(first int64, values []float32)) error {
	ahead := newReadAhead(l.file, []gguf.TensorInfo{info}, l.ring)
	defer ahead.stop()
	return eachChunk(ahead, info.Name, cancelled, func(c *TensorChunk) error {
		return l.processor.eachPart(c, func(part *TensorChunk) error {
			values, err := l.processor.decode(part)
			fn(part.FirstElement, values)
			return err
		})
	})
}

// eachChunk calls fn for the chunks of the tensor under way.
func eachChunk(ahead *readAhead, name string, cancelled *atomic.Uint32, fn func(*TensorChunk) error) error {
	for {
		if errs.GaveUp(cancelled) {
			return errs.Cancelled(name)
		}
		c, err := ahead.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(c)
		}
		if err != nil {
			return err
		}
	}
}
