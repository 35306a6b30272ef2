package stream

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/device/reference"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
	"gguf-stream/test/source"
)

// counter is a packer that keeps nothing, so that what is measured is the stream's alone. Every code is
// checked against a decode of the whole tensor where there is one.
type counter struct {
	feed  device.Feed
	calls int
	want  []float32 // may be nil
	form  *quant.CodesForm
	wrong int64 // elements that differ
}

func (c *counter) Feed() device.Feed { return c.feed }
func (c *counter) Finish() error     { return nil }

func (c *counter) PackBlocks(int64, []byte) error    { c.calls++; return nil }
func (c *counter) PackFloats(int64, []float32) error { c.calls++; return nil }

func (c *counter) PackCodes(first int64, codes []int8, scales, mins []float32) error {
	c.calls++
	for i := range c.want[min(int(first), len(c.want)):min(int(first)+len(codes), len(c.want))] {
		code := codes[i]
		if c.form.Bits == 4 {
			code = c.form.Table[code]
		}
		v := float32(scales[i/c.form.SubBlock] * float32(code))
		if c.form.Min {
			v += mins[i/c.form.SubBlock]
		}
		if v != c.want[int(first)+i] {
			c.wrong++
		}
	}
	return nil
}

// TestCodesMeanTheFloats: over several chunks, scale·code + min of every type is what Decode gives.
func TestCodesMeanTheFloats(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, typ := range quant.Types() {
		if typ.Codes == nil {
			continue
		}
		n := 140000/typ.BlockBytes + 1
		blocks := sane(r, &typ, n)
		c := &counter{feed: device.FeedCodes, form: typ.Codes, want: make([]float32, n*typ.BlockElements)}
		typ.Decode(c.want, blocks)
		h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, &typ, blocks)})
		b := device.NewTensorBuilder(device.TensorSpec{Name: "t", Shape: h.info.Shape, Type: h.info.Type}, c)
		require.NoError(t, h.loader.Load([]Target{{h.info, b}}, nil, nil), typ.Name)
		require.Zero(t, c.wrong, typ.Name)
		require.Greater(t, c.calls, 2, typ.Name)
	}
}

// TestNoAllocationAChunk: a tensor of 40 chunks costs as many allocations as one of a single chunk.
func TestNoAllocationAChunk(t *testing.T) {
	typ := q8(t)
	for _, feed := range []device.Feed{device.FeedBlocks, device.FeedCodes, device.FeedFloats} {
		allocations := func(blocks int) float64 {
			h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(1, 1)), typ, blocks))})
			spec := device.TensorSpec{Name: "t", Shape: h.info.Shape, Type: h.info.Type}
			c := &counter{feed: feed, form: typ.Codes}
			return testing.AllocsPerRun(5, func() {
				if err := h.loader.Load([]Target{{h.info, device.NewTensorBuilder(spec, c)}}, nil, nil); err != nil {
					t.Fatal(err)
				}
			})
		}
		require.Equal(t, allocations(1000), allocations(40*1927), "feed %d", feed)
	}
}

// TestCancelAtEachChunk: the load ends at the next look, with exactly so many chunks packed.
func TestCancelAtEachChunk(t *testing.T) {
	typ := q8(t)
	h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(2, 2)), typ, 4*1927))})
	for at := range 4 {
		var stop atomic.Uint32
		if at == 0 {
			stop.Store(1)
		}
		seen := 0
		err := h.load(&sink{feed: device.FeedBlocks}, &stop, func(int64, int64, string) {
			if seen++; seen == at {
				stop.Store(1)
			}
		})
		require.Equal(t, errs.Aborted, errs.From(err).Code, "chunk %d", at)
		require.Equal(t, at, seen)
	}
}

// TestMinsAreFinite: a type whose minimum alone is broken is refused at its block.
func TestMinsAreFinite(t *testing.T) {
	typ, ok := quant.ByName("Q4_1")
	require.True(t, ok)
	blocks := sane(rand.New(rand.NewPCG(3, 3)), typ, 5000)
	binary.LittleEndian.PutUint16(blocks[4321*typ.BlockBytes+2:], 0x7c00)
	h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, blocks)})
	e := errs.From(h.load(&sink{feed: device.FeedCodes}, nil, nil))
	require.Equal(t, errs.GGUFNonFinite, e.Code)
	require.Equal(t, h.info.Offset+int64(4321*typ.BlockBytes), e.Offset)
}

// forward notes reads that go back.
type forward struct {
	source.Memory
	last int64
	back int
}

func (f *forward) ReadAt(p []byte, offset int64) (int, error) {
	if offset < f.last {
		f.back++
	}
	f.last = offset
	return f.Memory.ReadAt(p, offset)
}

// threeTensors is a file of F32, Q8_0 and F16 tensors whose values are row·1 + column/64.
func threeTensors(t *testing.T) []byte {
	w := gguf.NewWriter()
	var data []byte
	for i, typ := range []string{"F32", "Q8_0", "F16"} {
		row, ok := quant.ByName(typ)
		require.True(t, ok)
		blocks := sane(rand.New(rand.NewPCG(uint64(i), 4)), row, 64*64/row.BlockElements)
		w.AddTensor(typ, tensor.Shape{64, 64}, row.ID, int64(len(blocks)))
		data = append(data, blocks...)
	}
	return append(w.Header(), data...)
}

// TestLoadGoesForwardIntoADevice: targets in any order are read in the file's, and arrive whole.
func TestLoadGoesForwardIntoADevice(t *testing.T) {
	src := &forward{Memory: source.Memory{Data: threeTensors(t)}}
	h := open(t, src)
	var specs []device.TensorSpec
	for i, role := range []device.Role{device.Lookup, device.Matrix, device.Matrix} {
		info := h.file.Tensor(i)
		specs = append(specs, device.TensorSpec{Name: info.Name, Shape: info.Shape, Type: info.Type, Role: role})
	}
	w, err := reference.New(h.ledger).NewWeights(specs, device.Exact)
	require.NoError(t, err)
	defer w.Close()
	var targets []Target
	for _, i := range []int{2, 0, 1} {
		targets = append(targets, Target{h.file.Tensor(i), w.Builder(i)})
	}
	src.last, src.back = 0, 0
	var order []string
	require.NoError(t, h.loader.Load(targets, nil, func(_, _ int64, name string) { order = append(order, name) }))
	require.Zero(t, src.back)
	require.Equal(t, []string{"F32", "Q8_0", "F16"}, order)
	require.Equal(t, "F16", targets[0].Info.Name, "the caller's slice stays in its order")
	require.NoError(t, w.Seal())
}

// TestChangedDuringTheLoad: that is what a load ends with, whatever was wrong with what was read.
func TestChangedDuringTheLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	typ := q8(t)
	data := fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(6, 6)), typ, 6000))
	require.NoError(t, os.WriteFile(path, data, 0o644))
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := gguf.Open(path, ledger)
	require.NoError(t, err)
	defer f.Close()
	l, err := NewLoader(f, ledger)
	require.NoError(t, err)
	defer l.Close()
	load := func(progress Progress) error {
		info := f.Tensor(0)
		spec := device.TensorSpec{Name: "t", Shape: info.Shape, Type: info.Type}
		return f.Conclude(l.Load([]Target{{info, device.NewTensorBuilder(spec, &sink{feed: device.FeedBlocks})}}, nil, progress))
	}
	require.NoError(t, load(nil))
	err = load(func(int64, int64, string) { require.NoError(t, os.WriteFile(path, append(data, 1), 0o644)) })
	require.Equal(t, errs.FileChanged, errs.From(err).Code)
	require.NoError(t, os.Truncate(path, 100))
	require.Equal(t, errs.FileChanged, errs.From(load(nil)).Code, "not that it ends too early")
}

// TestBuilderOfAnotherShapeIsRefused: too few rows in the file, then too many.
func TestBuilderOfAnotherShapeIsRefused(t *testing.T) {
	typ := q8(t)
	h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, sane(rand.New(rand.NewPCG(8, 8)), typ, 100))})
	for _, rows := range []int64{99, 101} {
		spec := device.TensorSpec{Name: "t", Shape: tensor.Shape{rows, 32}, Type: typ}
		err := h.loader.Load([]Target{{h.info, device.NewTensorBuilder(spec, &sink{feed: device.FeedCodes})}}, nil, nil)
		require.Equal(t, errs.DeviceTensorCount, errs.From(err).Code, "%d rows", rows)
	}
}

// TestNonFiniteFloats: types without codes are looked at value by value.
func TestNonFiniteFloats(t *testing.T) {
	for name, bits := range map[string]uint32{"F32": math.Float32bits(float32(math.Inf(-1))), "F16": 0x7c00, "BF16": 0x7fc0} {
		typ, ok := quant.ByName(name)
		require.True(t, ok)
		blocks := sane(rand.New(rand.NewPCG(9, 9)), typ, 40000)
		var word [4]byte
		binary.LittleEndian.PutUint32(word[:], bits)
		copy(blocks[39999*typ.BlockBytes:], word[:typ.BlockBytes])
		h := open(t, &source.Memory{Data: fileOf(binary.LittleEndian, typ, blocks)})
		e := errs.From(h.load(&sink{feed: device.FeedFloats}, nil, nil))
		require.Equal(t, errs.GGUFNonFinite, e.Code, name)
		require.Equal(t, h.info.Offset+int64(39999*typ.BlockBytes), e.Offset, name)
	}
}
