package quant

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/x448/float16"
)

type goldenType struct {
	Type       string `json:"name"`
	ID         uint32 `json:"id"`
	Block      int    `json:"block"`
	BlockBytes int    `json:"bytes"`
	File       string `json:"file"`
}

func readFloats(t testing.TB, path string) []float32 {
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	out := make([]float32, len(raw)/4)
	decodeF32(out, raw)
	return out
}

// sameBits: equal bits, the sign of zero included; any NaN equals any NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || (a != a && b != b)
}

func TestHalfAgreesWithLibrary(t *testing.T) {
	for h := range 1 << 16 {
		want := float16.Frombits(uint16(h)).Float32()
		require.True(t, sameBits(want, halfToFloat(uint16(h))), "half %#04x", h)
	}
}

func TestTableIsConsistent(t *testing.T) {
	last := -1
	for _, row := range Types() {
		require.Greater(t, int(row.ID), last, "ids ascend")
		last = int(row.ID)
		for _, f := range row.Swap {
			require.LessOrEqual(t, f.Offset+f.Size*f.Count, row.BlockBytes, row.Name)
		}
		found, ok := ByID(row.ID)
		require.True(t, ok)
		require.Equal(t, row.Name, found.Name)
		n, ok := row.Bytes(int64(3 * row.BlockElements))
		require.True(t, ok)
		require.EqualValues(t, 3*row.BlockBytes, n)
		_, ok = row.Bytes(math.MaxInt64 / int64(row.BlockElements) * int64(row.BlockElements))
		require.Equal(t, row.BlockBytes <= row.BlockElements, ok, "%s: products that wrap are refused", row.Name)
	}
	_, ok := ByID(4) // Q4_2, removed
	require.False(t, ok)
}

func randomBlocks(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// checkCodes compares the codes form with the float form where all scales are finite.
func checkCodes(t *testing.T, row *Type, blocks []byte) {
	c := row.Codes
	n := len(blocks) / row.BlockBytes * row.BlockElements
	values, codes := make([]float32, n), make([]int8, n)
	scales, mins := make([]float32, n/c.SubBlock), make([]float32, n/c.SubBlock)
	row.Decode(values, blocks)
	c.Expand(codes, scales, mins, blocks)
	for i, want := range values {
		s, m := scales[i/c.SubBlock], mins[i/c.SubBlock]
		if FirstNonFinite([]float32{s, m}) >= 0 {
			continue
		}
		code := codes[i]
		if c.Bits == 4 {
			require.True(t, code >= 0 && code < 16)
			code = c.Table[code]
		}
		got := float32(s*float32(code)) + m
		require.True(t, got == want || (got != got && want != want), "%s element %d: %g, want %g", row.Name, i, got, want)
	}
}

func TestCodesFormEqualsFloatForm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range types {
		if row := &types[i]; row.Codes != nil {
			checkCodes(t, row, randomBlocks(r, 64*row.BlockBytes))
		}
	}
}

func TestHalfScalesAreHalves(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range types {
		row := &types[i]
		if row.Codes == nil || !row.Codes.HalfScale {
			continue
		}
		blocks := randomBlocks(r, 64*row.BlockBytes)
		n := 64 * row.BlockElements
		scales, mins := make([]float32, n/row.Codes.SubBlock), make([]float32, n/row.Codes.SubBlock)
		row.Codes.Expand(make([]int8, n), scales, mins, blocks)
		for _, v := range append(scales, mins...) {
			require.True(t, v != v || float16.PrecisionFromfloat32(v) != float16.PrecisionInexact, row.Name)
		}
	}
}

// TestFirstBadBlock: it finds what a look at all values finds.
func TestFirstBadBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for i := range types {
		row := &types[i]
		if !row.Halves {
			require.False(t, row.Codes != nil && row.Codes.HalfScale, row.Name)
			continue
		}
		const n = 20 // 1 in 32 random halves is not finite: some runs have no bad block, some several
		found := map[int]bool{}
		for range 300 {
			blocks, values := randomBlocks(r, n*row.BlockBytes), make([]float32, n*row.BlockElements)
			row.Decode(values, blocks)
			want := FirstNonFinite(values)
			if want > 0 {
				want /= row.BlockElements
			}
			require.Equal(t, want, row.FirstBadBlock(blocks), row.Name)
			found[want] = true
		}
		require.True(t, found[-1] && found[0] && len(found) > n/2, row.Name)
	}
}

func TestSwapIsItsOwnInverse(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range types {
		row := &types[i]
		want := randomBlocks(r, 3*row.BlockBytes)
		got := append([]byte(nil), want...)
		row.SwapBlocks(got)
		if len(row.Swap) > 0 {
			require.NotEqual(t, want, got, row.Name)
		}
		row.SwapBlocks(got)
		require.Equal(t, want, got, row.Name)
	}
}

func TestNothingAllocates(t *testing.T) {
	for i := range types {
		row := &types[i]
		if row.Decode == nil {
			continue
		}
		blocks, dst := make([]byte, 8*row.BlockBytes), make([]float32, 8*row.BlockElements)
		require.Zero(t, testing.AllocsPerRun(10, func() { row.Decode(dst, blocks) }), row.Name)
		if c := row.Codes; c != nil {
			codes, s, m := make([]int8, len(dst)), make([]float32, len(dst)/c.SubBlock), make([]float32, len(dst)/c.SubBlock)
			require.Zero(t, testing.AllocsPerRun(10, func() { c.Expand(codes, s, m, blocks) }), row.Name)
		}
	}
}

func TestGoldenBits(t *testing.T) {
	const dir = "testdata/dequant-types"
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, err)
	var index struct {
		Types []goldenType `json:"types"`
	}
	require.NoError(t, json.Unmarshal(raw, &index))
	require.Len(t, index.Types, 28)
	for _, g := range index.Types {
		row, ok := ByID(g.ID)
		require.True(t, ok, g.Type)
		require.Equal(t, g.Block, row.BlockElements, g.Type)
		require.Equal(t, g.BlockBytes, row.BlockBytes, g.Type)
		blocks, err := os.ReadFile(filepath.Join(dir, g.File+".in.bin"))
		require.NoError(t, err)
		want := readFloats(t, filepath.Join(dir, g.File+".out.f32"))
		got := make([]float32, len(want))
		row.Decode(got, blocks)
		for i := range want {
			require.True(t, sameBits(want[i], got[i]), "%s element %d: %g, want %g", row.Name, i, got[i], want[i])
		}
		if row.Codes != nil {
			checkCodes(t, row, blocks)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint32(8), []byte("seventeen bytes and then some more of them, up to a block"))
	f.Fuzz(func(t *testing.T, id uint32, blocks []byte) {
		row, ok := ByID(id % 43)
		if !ok || row.Decode == nil {
			return
		}
		blocks = blocks[:len(blocks)/row.BlockBytes*row.BlockBytes]
		row.Decode(make([]float32, len(blocks)/row.BlockBytes*row.BlockElements), blocks)
		if row.Codes != nil {
			checkCodes(t, row, blocks)
		}
	})
}

func BenchmarkExpand(b *testing.B) {
	for i := range types {
		row := &types[i]
		c := row.Codes
		if c == nil {
			continue
		}
		b.Run(row.Name, func(b *testing.B) {
			const n = 16384
			blocks := make([]byte, n/row.BlockElements*row.BlockBytes)
			codes, s, m := make([]int8, n), make([]float32, n/c.SubBlock), make([]float32, n/c.SubBlock)
			b.SetBytes(int64(len(blocks)))
			b.ReportAllocs()
			for b.Loop() {
				c.Expand(codes, s, m, blocks)
			}
		})
	}
}
