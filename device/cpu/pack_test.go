package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// offHeap is memory like a weights region's: C gets its address in a struct.
func offHeap(t testing.TB, n int64) []byte {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	r, err := ledger.Allocate(memory.Weights, n)
	require.NoError(t, err)
	t.Cleanup(r.Free)
	return r.Bytes()
}

// TestBlocksPackAsCodesDo: the file's blocks, in uneven parts, give the same panels as their codes and scales.
func TestBlocksPackAsCodesDo(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for name, fast := range fastPaths {
		if !fast.blocks {
			continue
		}
		typ, ok := quant.ByName(name)
		require.True(t, ok)
		if typ.Codes == nil {
			continue // TestFloatsPackAlikeInAnyParts
		}
		for _, columns := range []int{96, 128} {
			for i := range kernelSets {
				for _, precision := range []device.Precision{device.Exact, device.Fast} {
					checkBlocksPack(t, &kernelSets[i], typ, precision, columns, r)
				}
			}
		}
	}
}

func checkBlocksPack(t *testing.T, set *kernelSet, typ *quant.Type, precision device.Precision, columns int, r *rand.Rand) {
	const rows = 37
	s := device.TensorSpec{Name: "m", Shape: tensor.Shape{rows, int64(columns)}, Type: typ, Role: device.Matrix}
	blocks := saneBlocks(r, typ, int64(rows*columns), device.Matrix)
	codes, scales := make([]int8, rows*columns), make([]float32, rows*columns/32)
	typ.Codes.Expand(codes, scales, nil, blocks)
	n, err := set.packedBytes(s, precision)
	require.NoError(t, err)
	want, got := offHeap(t, n), offHeap(t, n)
	require.NoError(t, set.newPacker(s, precision, want, nil).PackCodes(0, codes, scales, nil))
	p := set.newPacker(s, precision, got, nil)
	require.Equal(t, device.FeedBlocks, p.Feed())
	inParts(len(blocks)/typ.BlockBytes, columns/32, func(from, to int) {
		clear(got)
		require.NoError(t, p.PackBlocks(0, blocks[:from*typ.BlockBytes]))
		require.NoError(t, p.PackBlocks(int64(from*32), blocks[from*typ.BlockBytes:to*typ.BlockBytes]))
		require.NoError(t, p.PackBlocks(int64(to*32), blocks[to*typ.BlockBytes:]))
		require.Equal(t, want, got, "%s, %s, cut at %d and %d", typ.Name, set.name, from, to)
	})
}

// inParts calls fn with places to cut n things, of which perRow make a row, in three: before, at and behind the ends
// of rows and of the first panel, and nowhere.
func inParts(n, perRow int, fn func(from, to int)) {
	panel := 32 * perRow
	for _, cut := range [][2]int{{0, n}, {1, n - 1}, {perRow, panel}, {perRow - 1, panel + 1}, {perRow + 1, panel - 1}, {2 * perRow, panel + 2*perRow}} {
		fn(cut[0], cut[1])
	}
}

// TestFloatsPackAlikeInAnyParts: wherever the parts are cut, each value goes where it goes alone. A set may pack words
// with its own instructions.
func TestFloatsPackAlikeInAnyParts(t *testing.T) {
	for i, info := range Sets() {
		t.Run(info.Name, func(t *testing.T) {
			needSet(t, info)
			for _, name := range []string{"F32", "F16", "BF16"} {
				for _, precision := range []device.Precision{device.Exact, device.Fast} {
					checkFloatsPack(t, &kernelSets[i], name, precision)
				}
			}
		})
	}
}

func checkFloatsPack(t *testing.T, set *kernelSet, name string, precision device.Precision) {
	const rows, columns = 37, 21
	typ, _ := quant.ByName(name)
	s := device.TensorSpec{Name: "m", Shape: tensor.Shape{rows, columns}, Type: typ, Role: device.Matrix}
	blocks, values := saneBlocks(rand.New(rand.NewPCG(23, 24)), typ, rows*columns, device.Matrix), make([]float32, rows*columns)
	typ.Decode(values, blocks)
	portable := &kernelSets[len(kernelSets)-1]
	n, err := set.packedBytes(s, precision)
	require.NoError(t, err)
	want, got, scratch := offHeap(t, n), offHeap(t, n), offHeap(t, set.scratchBytes(s, precision))
	alone := portable.newPacker(s, precision, want, scratch)
	for i := range values {
		require.NoError(t, alone.PackFloats(int64(i), values[i:i+1]))
	}
	p := set.newPacker(s, precision, got, scratch)
	inParts(len(values), columns, func(from, to int) {
		clear(got)
		require.NoError(t, p.PackFloats(0, values[:from]))
		require.NoError(t, p.PackFloats(int64(from), values[from:to]))
		require.NoError(t, p.PackFloats(int64(to), values[to:]))
		require.Equal(t, want, got, "%s, %s, cut at %d and %d", name, set.name, from, to)
	})
	if fastPaths[name].blocks {
		clear(got)
		require.NoError(t, p.PackBlocks(0, blocks))
		require.Equal(t, want, got, "%s, %s as blocks", name, set.name)
	}
}

// BenchmarkPack packs a feed-forward matrix of nomic's; bytes are the file's.
func BenchmarkPack(b *testing.B) {
	for _, of := range []struct {
		name      string
		precision device.Precision
	}{{"Q8_0", device.Exact}, {"Q8_0", device.Fast}, {"Q4_0", device.Exact}, {"Q4_K", device.Exact}, {"F16", device.Exact}, {"F32", device.Exact}, {"F16", device.Fast}, {"F32", device.Fast}} {
		typ, _ := quant.ByName(of.name)
		s, set := device.TensorSpec{Name: "m", Shape: tensor.Shape{768, 3072}, Type: typ, Role: device.Matrix}, availableSets()[0]
		n, _ := set.packedBytes(s, of.precision)
		blocks := saneBlocks(rand.New(rand.NewPCG(1, 2)), typ, 768*3072, device.Matrix)
		p := set.newPacker(s, of.precision, offHeap(b, n), offHeap(b, set.scratchBytes(s, of.precision)))
		b.Run(fmt.Sprint(of.name, " precision ", of.precision), func(b *testing.B) {
			b.SetBytes(int64(len(blocks)))
			for b.Loop() {
				packWhole(b, p, typ, blocks)
			}
		})
	}
}

// packWhole does what a load does, in parts of a chunk.
func packWhole(b *testing.B, p *packer, typ *quant.Type, blocks []byte) {
	const part = 16384
	values, codes := make([]float32, part), make([]int8, part)
	scales, mins := make([]float32, part/16), make([]float32, part/16)
	size := part / typ.BlockElements * typ.BlockBytes
	for first := 0; first*size < len(blocks); first++ {
		now := blocks[first*size:][:size]
		at := int64(first * part)
		var err error
		switch p.Feed() {
		case device.FeedBlocks:
			err = p.PackBlocks(at, now)
		case device.FeedFloats:
			typ.Decode(values, now)
			err = p.PackFloats(at, values)
		case device.FeedCodes:
			c := typ.Codes
			c.Expand(codes, scales[:part/c.SubBlock], mins[:part/c.SubBlock], now)
			err = p.PackCodes(at, codes, scales, mins)
		}
		require.NoError(b, err)
	}
}
