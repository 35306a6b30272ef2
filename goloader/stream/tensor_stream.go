// Package stream brings tensors from a file into a device's buffers, through one reused chunk and one
// reused decode buffer, whatever the model's size.
//
//	gguf.File ──pread ≤ 64 KiB──▶ TensorChunk ──ChunkProcessor──▶ blocks | codes+scales+mins | floats
//	               (chunk, reused)                (decode, reused, 64 KiB)      │
//	                                                      device.TensorBuilder ◀┘ Append…, Finalise
//
// StreamingGGUFLoader owns both buffers in one accounted region (limits.WorkingBytes at most) and is
// used by one goroutine at a time. Tensors are taken in the order of their bytes in the file, so that a
// load reads strictly forward. Non-finite scales and weights are refused here, before a device sees them.
package stream

import (
	"io"

	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
)

// TensorStream iterates over one tensor's chunks.
type TensorStream struct {
	file   *gguf.File
	info   gguf.TensorInfo
	buffer []byte // the loader's chunk
	next   int64  // byte of the tensor
	chunk  TensorChunk
}

// TensorChunk is a piece of a tensor: whole blocks, at most limits.ChunkBytes of them.
type TensorChunk struct {
	Tensor       *gguf.TensorInfo
	Offset       int64  // absolute byte of the file where the chunk was read
	FirstElement int64  // index of its first element in the tensor
	Elements     int    //
	Blocks       []byte // a view of the reused buffer: valid until the next chunk; little-endian
}

func newTensorStream(file *gguf.File, info gguf.TensorInfo, buffer []byte) *TensorStream {
	return &TensorStream{file: file, info: info, buffer: buffer[:min(len(buffer), limits.ChunkBytes)]}
}

// Next reads the next chunk, which is valid until the one after; io.EOF after the last one.
func (s *TensorStream) Next() (*TensorChunk, error) {
	if s.next == s.info.Bytes {
		return nil, io.EOF
	}
	block := int64(s.info.Type.BlockBytes)
	size := min(int64(len(s.buffer))/block*block, s.info.Bytes-s.next)
	blocks := s.buffer[:size]
	if err := s.file.ReadTensor(&s.info, s.next, blocks); err != nil {
		return nil, err
	}
	if s.file.BigEndian() {
		s.info.Type.SwapBlocks(blocks)
	}
	perBlock := int64(s.info.Type.BlockElements)
	s.chunk = TensorChunk{Tensor: &s.info, Offset: s.info.Offset + s.next, FirstElement: s.next / block * perBlock,
		Elements: int(size / block * perBlock), Blocks: blocks}
	s.next += size
	return &s.chunk, nil
}
