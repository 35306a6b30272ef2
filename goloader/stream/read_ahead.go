package stream

import (
	"io"
	"sync/atomic"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
)

// readAhead reads the chunks of tensors, one tensor after another, into a ring of buffers while earlier
// chunks are packed. Next and stop belong to one goroutine, run is the other.
type readAhead struct {
	free, filled chan *readChunk // each has room for the whole ring: sending never blocks
	held         *readChunk      // what Next gave out last
	stopped      atomic.Bool
}

// readChunk is a place of the ring.
type readChunk struct {
	TensorChunk
	buffer []byte
	err    error // io.EOF behind a tensor's last chunk
}

// newReadAhead starts to read. ring is cut into limits.RingChunks buffers.
func newReadAhead(file *gguf.File, infos []gguf.TensorInfo, ring []byte) *readAhead {
	a := &readAhead{free: make(chan *readChunk, limits.RingChunks), filled: make(chan *readChunk, limits.RingChunks)}
	for i := range limits.RingChunks {
		a.free <- &readChunk{buffer: ring[i*limits.ChunkBytes:][:limits.ChunkBytes]}
	}
	go a.run(file, infos)
	return a
}

// Next is the next chunk of the tensor under way, valid until the call after; io.EOF ends a tensor.
func (a *readAhead) Next() (*TensorChunk, error) {
	if a.held != nil {
		a.free <- a.held
	}
	a.held = <-a.filled
	return &a.held.TensorChunk, a.held.err
}

// stop returns when nothing is read any more; the file and the ring are then the caller's.
func (a *readAhead) stop() {
	a.stopped.Store(true)
	close(a.free)
	for range a.filled {
	}
}

func (a *readAhead) run(file *gguf.File, infos []gguf.TensorInfo) {
	defer close(a.filled)
	for _, info := range infos {
		s := newTensorStream(file, info, nil)
		for err := error(nil); err == nil; {
			c, open := <-a.free
			if !open || a.stopped.Load() {
				return
			}
			err = s.readGuarded(c)
			c.err = err
			a.filled <- c
			if err != nil && err != io.EOF {
				return
			}
		}
	}
}

// readGuarded turns a panic into an error: the goroutine has nobody above it.
func (s *TensorStream) readGuarded(c *readChunk) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = errs.Fault(s.info.Name, e)
		}
	}()
	return s.read(&c.TensorChunk, c.buffer)
}
