package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
	"gguf-stream/test/source"
)

// sink is a packer that keeps what comes.
type sink struct {
	feed   device.Feed
	blocks []byte
	codes  []int8
	scales []float32
	floats []float32
}

func (s *sink) Feed() device.Feed { return s.feed }
func (s *sink) Finish() error     { return nil }
func (s *sink) PackBlocks(_ int64, b []byte) error {
	s.blocks = append(s.blocks, b...)
	return nil
}
func (s *sink) PackCodes(first int64, c []int8, scales, _ []float32) error {
	if first != int64(len(s.codes)) {
		return errors.New("out of order")
	}
	s.codes, s.scales = append(s.codes, c...), append(s.scales, scales...)
	return nil
}
func (s *sink) PackFloats(first int64, v []float32) error {
	if first != int64(len(s.floats)) {
		return errors.New("out of order")
	}
	s.floats = append(s.floats, v...)
	return nil
}

// sane makes blocks of finite values.
func sane(r *rand.Rand, t *quant.Type, blocks int) []byte {
	out := make([]byte, 0, blocks*t.BlockBytes)
	values := make([]float32, t.BlockElements)
	for len(out) < cap(out) {
		b := make([]byte, t.BlockBytes)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if t.Decode(values, b); quant.FirstNonFinite(values) < 0 {
			out = append(out, b...)
		}
	}
	return out
}

func fileOf(order binary.ByteOrder, t *quant.Type, blocks []byte) []byte {
	w := gguf.NewWriter()
	w.Order = order
	n := len(blocks) / t.BlockBytes
	w.AddTensor("t", tensor.Shape{int64(n), int64(t.BlockElements)}, t.ID, int64(len(blocks)))
	data := append([]byte(nil), blocks...)
	if order == binary.BigEndian {
		t.SwapBlocks(data)
	}
	return append(w.Header(), data...)
}

type harness struct {
	ledger *memory.Ledger
	file   *gguf.File
	loader *StreamingGGUFLoader
	info   gguf.TensorInfo
}

func open(t testing.TB, src gguf.Source) *harness {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := gguf.OpenSource(src, ledger)
	require.NoError(t, err)
	l, err := NewLoader(f, ledger)
	require.NoError(t, err)
	require.LessOrEqual(t, ledger.Counters().Working.Load(), int64(limits.WorkingBytes))
	t.Cleanup(func() { l.Close(); f.Close(); require.Zero(t, ledger.Total()) })
	return &harness{ledger, f, l, f.Tensor(0)}
}

func (h *harness) load(s *sink, cancelled *atomic.Uint32, progress Progress) error {
	spec := device.TensorSpec{Name: "t", Shape: h.info.Shape, Type: h.info.Type}
	return h.loader.Load([]Target{{h.info, device.NewTensorBuilder(spec, s)}}, cancelled, progress)
}

// TestEveryTypeInBothByteOrders: floats, codes and blocks come out as one decode of the whole would give them.
func TestEveryTypeInBothByteOrders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range quant.Types() {
		if typ.Decode == nil {
			continue
		}
		n := 200000/typ.BlockBytes + 3 // several chunks, the last one short
		blocks := sane(r, &typ, n)
		want := make([]float32, n*typ.BlockElements)
		typ.Decode(want, blocks)
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			for _, limit := range []int{0, 4097} {
				h := open(t, &source.Memory{Data: fileOf(order, &typ, blocks), Limit: limit})
				floats := &sink{feed: device.FeedFloats}
				require.NoError(t, h.load(floats, nil, nil), typ.Name)
				require.Equal(t, want, floats.floats, typ.Name)
				raw := &sink{feed: device.FeedBlocks}
				require.NoError(t, h.load(raw, nil, nil))
				require.Equal(t, blocks, raw.blocks, typ.Name)
				if typ.Codes != nil {
					codes := &sink{feed: device.FeedCodes}
					require.NoError(t, h.load(codes, nil, nil))
					require.Len(t, codes.codes, len(want))
					require.Len(t, codes.scales, len(want)/typ.Codes.SubBlock)
				}
				h.loader.Close()
				h.file.Close()
			}
		}
	}
}

func q8(t testing.TB) *quant.Type {
	typ, ok := quant.ByName("Q8_0")
	require.True(t, ok)
	return typ
}

func TestChunksAreWholeBlocksOfAtMost64KiB(t *testing.T) {
	typ := q8(t)
	blocks := sane(rand.New(rand.NewPCG(3, 4)), typ, 5000)
	h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, blocks)})
	s, next := h.loader.Stream(h.info), int64(0)
	for {
		c, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.LessOrEqual(t, len(c.Blocks), limits.ChunkBytes)
		require.Zero(t, len(c.Blocks)%34)
		require.Equal(t, next, c.FirstElement)
		require.Equal(t, h.info.Offset+next/32*34, c.Offset)
		next += int64(c.Elements)
	}
	require.EqualValues(t, 5000*32, next)
}

// TestNonFiniteIsRefusedAnywhere: the error names the block's own offset in the file.
func TestNonFiniteIsRefusedAnywhere(t *testing.T) {
	typ := q8(t)
	for _, at := range []int{0, 1, 511, 512, 1926, 1927, 4999} {
		for _, bits := range []uint16{0x7c00, 0xfc00, 0x7e01} {
			blocks := sane(rand.New(rand.NewPCG(5, 6)), typ, 5000)
			binary.LittleEndian.PutUint16(blocks[34*at:], bits)
			for i := range 32 {
				blocks[34*at+2+i] = 1 // infinity times 0 would be NaN, too
			}
			for _, feed := range []device.Feed{device.FeedCodes, device.FeedFloats, device.FeedBlocks} {
				h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, blocks)})
				e := errs.From(h.load(&sink{feed: feed}, nil, nil))
				require.Equal(t, errs.GGUFNonFinite, e.Code)
				require.Equal(t, "t", e.Field)
				require.Equal(t, h.info.Offset+int64(34*at), e.Offset, "block %d", at)
			}
		}
	}
}

func TestCancelProgressFaultsAndChanges(t *testing.T) {
	typ := q8(t)
	data := fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(7, 8)), typ, 10000))
	var stop atomic.Uint32
	last := int64(0)
	h := open(t, &source.Memory{Data: data})
	require.NoError(t, h.load(&sink{feed: device.FeedCodes}, &stop, func(loaded, total int64, name string) {
		require.Greater(t, loaded, last)
		require.EqualValues(t, 340000, total)
		require.Equal(t, "t", name)
		last = loaded
	}))
	require.EqualValues(t, 340000, last)
	err := h.load(&sink{feed: device.FeedCodes}, &stop, func(int64, int64, string) { stop.Store(1) })
	require.Equal(t, errs.Aborted, errs.From(err).Code)

	src := &source.Memory{Data: data}
	h = open(t, src)
	src.Data = data[:h.info.Offset+100000]
	err = h.load(&sink{feed: device.FeedCodes}, nil, nil)
	require.Equal(t, errs.GGUFTruncated, errs.From(err).Code)
	require.Equal(t, h.info.Offset+100000, errs.From(err).Offset)
	src.Data, src.Fault = data, func(offset int64) error {
		if offset > 200000 {
			return errors.New("bad sector")
		}
		return nil
	}
	require.Equal(t, errs.FileRead, errs.From(h.load(&sink{feed: device.FeedCodes}, nil, nil)).Code)

	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, data, 0o644))
	ledger, _ := memory.NewLedger()
	f, err := gguf.Open(path, ledger)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.WriteFile(path, append(data, 1), 0o644))
	require.Equal(t, errs.FileChanged, errs.From(f.Changed()).Code)
}

func TestReadFloats(t *testing.T) {
	typ := q8(t)
	blocks := sane(rand.New(rand.NewPCG(9, 10)), typ, 4000)
	h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, blocks)})
	want, got := make([]float32, 4000*32), make([]float32, 4000*32)
	typ.Decode(want, blocks)
	require.NoError(t, h.loader.ReadFloats(h.info, got, nil))
	require.Equal(t, want, got)
	require.False(t, math.IsNaN(float64(got[0])))
}

// TestSurvey: the most zeros in a row, over the bounds of chunks.
func TestSurvey(t *testing.T) {
	typ := q8(t)
	blocks := bytes.Repeat(append([]byte{0, 0x3c}, bytes.Repeat([]byte{1}, 32)...), 8000) // ones
	clear(blocks[100*typ.BlockBytes:][:3*typ.BlockBytes])
	clear(blocks[1000*typ.BlockBytes:][:5000*typ.BlockBytes])
	h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, blocks)})
	zeros, err := h.loader.Survey(h.info, nil)
	require.NoError(t, err)
	require.EqualValues(t, 5000*typ.BlockElements, zeros)
}

func BenchmarkCodes(b *testing.B) {
	typ := q8(b)
	h := open(b, &source.Memory{Data: fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(9, 10)), typ, 20000))})
	b.SetBytes(h.info.Bytes)
	b.ReportAllocs()
	for b.Loop() {
		s := &sink{feed: device.FeedCodes, codes: make([]int8, 0, 640000), scales: make([]float32, 0, 20000)}
		if err := h.load(s, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
