package stream

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/test/source"
)

// ahead notes how many chunks were read, and panics at one.
type ahead struct {
	source.Memory
	reads   atomic.Int64
	panicAt int64 // 0: never
}

func (a *ahead) ReadAt(p []byte, offset int64) (int, error) {
	if n := a.reads.Add(1); n == a.panicAt {
		panic("bad memory")
	}
	return a.Memory.ReadAt(p, offset)
}

// slow is a packer that looks how far the reader has come, and fails at a chunk.
type slow struct {
	sink
	src    *ahead
	calls  int64
	most   int64 // chunks read but not packed
	failAt int64
}

func (s *slow) PackBlocks(int64, []byte) error {
	s.calls++
	time.Sleep(time.Millisecond)
	s.most = max(s.most, s.src.reads.Load()-s.calls)
	if s.calls == s.failAt {
		return errors.New("full")
	}
	return nil
}

const chunksOfTest = 12

func openAhead(t *testing.T) (*harness, *ahead) {
	typ := q8(t)
	perChunk := limits.ChunkBytes / typ.BlockBytes
	src := &ahead{Memory: source.Memory{Data: fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(1, 9)), typ, chunksOfTest*perChunk))}}
	h := open(t, src)
	src.reads.Store(0)
	return h, src
}

func (h *harness) loadInto(p device.Packer) error {
	return h.loader.Load([]Target{{h.info, device.NewTensorBuilder(device.TensorSpec{Name: "t", Shape: h.info.Shape, Type: h.info.Type}, p)}}, nil, nil)
}

// TestReadsAheadByTheRing: reading goes on while a chunk is packed, and never further than the ring.
func TestReadsAheadByTheRing(t *testing.T) {
	h, src := openAhead(t)
	s := &slow{sink: sink{feed: device.FeedBlocks}, src: src}
	require.NoError(t, h.loadInto(s))
	require.EqualValues(t, chunksOfTest, src.reads.Load())
	require.EqualValues(t, limits.RingChunks-1, s.most)
}

// TestFailedLoadStopsReading: when Load has returned nothing reads any more, and the loader can load again.
func TestFailedLoadStopsReading(t *testing.T) {
	h, src := openAhead(t)
	require.ErrorContains(t, h.loadInto(&slow{sink: sink{feed: device.FeedBlocks}, src: src, failAt: 2}), "full")
	reads := src.reads.Load()
	require.Less(t, reads, int64(chunksOfTest))
	time.Sleep(5 * time.Millisecond)
	require.Equal(t, reads, src.reads.Load())
	require.NoError(t, h.loadInto(&slow{sink: sink{feed: device.FeedBlocks}, src: src}))
}

// TestPanicOfTheReader: it arrives as an error where the load waits.
func TestPanicOfTheReader(t *testing.T) {
	h, src := openAhead(t)
	src.panicAt = 7
	e := errs.From(h.loadInto(&slow{sink: sink{feed: device.FeedBlocks}, src: src}))
	require.Equal(t, errs.InternalFault, e.Code)
	require.ErrorContains(t, e, "bad memory")
}
