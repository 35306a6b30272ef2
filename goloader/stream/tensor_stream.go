// Package stream brings tensors from a file into a device's buffers, through a ring of reused chunks and
// one reused decode buffer, whatever the model's size.
//
//	gguf.File ──pread ≤ 64 KiB──▶ TensorChunk ──ChunkProcessor──▶ blocks | codes+scales+mins | floats
//	          (readAhead's goroutine,             (decode, reused, 64 KiB)      │
//	           limits.RingChunks reused)                  device.TensorBuilder ◀┘ Append…, Finalise
//
// StreamingGGUFLoader owns all buffers in one accounted region (limits.WorkingBytes at most) and is
// used by one goroutine at a time. Tensors are taken in the order of their bytes in the file, so that a
// load reads strictly forward. Non-finite scales and weights are refused here, before a device sees them.
package stream

import (
	"io"

	"gguf-stream/goloader/gguf"
)

// TensorStream iterates over one tensor's chunks.
type TensorStream struct {
	file   *gguf.File
	info   gguf.TensorInfo
	buffer []byte // Next's, a chunk of the loader
	next   int64  // byte of the tensor
	chunk  TensorChunk
}

// TensorChunk is a piece of a tensor: whole blocks, at most limits.ChunkBytes of them.
type TensorChunk struct {
	Tensor       *gguf.TensorInfo
	Offset       int64 // absolute byte of the file where the chunk was read
	FirstElement int64 // index of its first element in the tensor
	Elements     int
	Blocks       []byte // a view of the reused buffer: valid until the next chunk; little-endian
}

func newTensorStream(file *gguf.File, info gguf.TensorInfo, buffer []byte) *TensorStream {
	return &TensorStream{file: file, info: info, buffer: buffer}
}

// Next reads the next chunk, which is valid until the one after; io.EOF after the last one.
func (s *TensorStream) Next() (*TensorChunk, error) { return &s.chunk, s.read(&s.chunk, s.buffer) }

// read fills a chunk with what comes next, its blocks in buffer.
func (s *TensorStream) read(c *TensorChunk, buffer []byte) error {
	if s.next == s.info.Bytes {
		return io.EOF
	}
	block := int64(s.info.Type.BlockBytes)
	size := min(int64(len(buffer))/block*block, s.info.Bytes-s.next)
	blocks := buffer[:size]
	if err := s.file.ReadTensor(&s.info, s.next, blocks); err != nil {
		return err
	}
	if s.file.BigEndian() {
		s.info.Type.SwapBlocks(blocks)
	}
	perBlock := int64(s.info.Type.BlockElements)
	*c = TensorChunk{Tensor: &s.info, Offset: s.info.Offset + s.next, FirstElement: s.next / block * perBlock,
		Elements: int(size / block * perBlock), Blocks: blocks}
	s.next += size
	return nil
}
