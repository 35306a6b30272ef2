// Package quant knows ggml's tensor types: one table with each type's block, its reference dequantiser,
// its codes form where it has one, and how its fields are swapped in big-endian files.
//
//	chunk (whole blocks) ──Decode──▶ float32           bit for bit ggml's dequantize_row_* (golden/dequant-types)
//	                     └─Expand──▶ codes int8, scales, mins    value = scale·code + min, the same bits
//
// All arithmetic is float32, rounded after each operation in ggml's order, never fused: float32(…)
// around a product forbids Go to fuse it with the addition that follows (it would on arm64). Nothing
// here allocates. The formulas are those of ggml-quants.c, block layouts those of ggml-common.h.
package quant

import (
	"math"
	"math/bits"
)

// Type is one row of the table.
type Type struct {
	ID            uint32 // enum ggml_type
	Name          string // as ggml spells it
	BlockElements int
	BlockBytes    int
	// Decode writes the values of whole blocks: len(dst) = len(blocks)/BlockBytes·BlockElements. Nil for
	// types that only exist at run time.
	Decode func(dst []float32, blocks []byte)
	// Codes is the form that kernels use without expanding to floats; nil if the type has none.
	Codes *CodesForm
	// Swap lists the multi-byte fields of a block, for big-endian files.
	Swap []Field
	// Halves says that the fields of Swap are IEEE halves and all that can make a value NaN or infinite.
	Halves bool
}

// Field is a run of equal numbers in a block: Count numbers of Size bytes from byte Offset on.
type Field struct{ Offset, Size, Count int }

// CodesForm is a type as integer codes with a scale (and a min) per sub-block of elements:
// value = scale·code + min, computed in float32 with two roundings, equals Decode's bit for bit (but
// for the sign of zeros).
type CodesForm struct {
	Bits      int  // 8: codes are the numbers; 4: codes are indices 0…15 into Table
	SubBlock  int  // elements that share a scale: 16 or 32
	Min       bool // there are mins
	HalfScale bool // scales and mins are IEEE halves of the file, unchanged
	Table     [16]int8
	// Expand writes a code per element and a scale (and min, if Min) per sub-block of whole blocks.
	Expand func(codes []int8, scales, mins []float32, blocks []byte)
}

var (
	half0      = []Field{{0, 2, 1}}
	halfPair0  = []Field{{0, 2, 2}}
	linear4    = [16]int8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	symmetric4 = [16]int8{-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}
)

var types = []Type{
	{ID: 0, Name: "F32", BlockElements: 1, BlockBytes: 4, Decode: decodeF32, Swap: []Field{{0, 4, 1}}},
	{ID: 1, Name: "F16", BlockElements: 1, BlockBytes: 2, Decode: decodeF16, Swap: half0, Halves: true},
	{ID: 2, Name: "Q4_0", BlockElements: 32, BlockBytes: 18, Decode: decodeQ4_0, Swap: half0, Halves: true,
		Codes: &CodesForm{Bits: 4, SubBlock: 32, HalfScale: true, Table: symmetric4, Expand: expandQ4_0}},
	{ID: 3, Name: "Q4_1", BlockElements: 32, BlockBytes: 20, Decode: decodeQ4_1, Swap: halfPair0, Halves: true,
		Codes: &CodesForm{Bits: 4, SubBlock: 32, Min: true, HalfScale: true, Table: linear4, Expand: expandQ4_1}},
	{ID: 6, Name: "Q5_0", BlockElements: 32, BlockBytes: 22, Decode: decodeQ5_0, Swap: half0, Halves: true,
		Codes: &CodesForm{Bits: 8, SubBlock: 32, HalfScale: true, Expand: expandQ5_0}},
	{ID: 7, Name: "Q5_1", BlockElements: 32, BlockBytes: 24, Decode: decodeQ5_1, Swap: halfPair0, Halves: true,
		Codes: &CodesForm{Bits: 8, SubBlock: 32, Min: true, HalfScale: true, Expand: expandQ5_1}},
	{ID: 8, Name: "Q8_0", BlockElements: 32, BlockBytes: 34, Decode: decodeQ8_0, Swap: half0, Halves: true,
		Codes: &CodesForm{Bits: 8, SubBlock: 32, HalfScale: true, Expand: expandQ8_0}},
	{ID: 9, Name: "Q8_1", BlockElements: 32, BlockBytes: 36, Swap: halfPair0},
	{ID: 10, Name: "Q2_K", BlockElements: 256, BlockBytes: 84, Decode: decodeQ2K, Swap: []Field{{80, 2, 2}},
		Codes: &CodesForm{Bits: 8, SubBlock: 16, Min: true, Expand: expandQ2K}},
	{ID: 11, Name: "Q3_K", BlockElements: 256, BlockBytes: 110, Decode: decodeQ3K, Swap: []Field{{108, 2, 1}},
		Codes: &CodesForm{Bits: 8, SubBlock: 16, Expand: expandQ3K}},
	{ID: 12, Name: "Q4_K", BlockElements: 256, BlockBytes: 144, Decode: decodeQ4K, Swap: halfPair0,
		Codes: &CodesForm{Bits: 4, SubBlock: 32, Min: true, Table: linear4, Expand: expandQ4K}},
	{ID: 13, Name: "Q5_K", BlockElements: 256, BlockBytes: 176, Decode: decodeQ5K, Swap: halfPair0,
		Codes: &CodesForm{Bits: 8, SubBlock: 32, Min: true, Expand: expandQ5K}},
	{ID: 14, Name: "Q6_K", BlockElements: 256, BlockBytes: 210, Decode: decodeQ6K, Swap: []Field{{208, 2, 1}},
		Codes: &CodesForm{Bits: 8, SubBlock: 16, Expand: expandQ6K}},
	{ID: 15, Name: "Q8_K", BlockElements: 256, BlockBytes: 292, Decode: decodeQ8K, Swap: []Field{{0, 4, 1}, {260, 2, 16}}},
	{ID: 16, Name: "IQ2_XXS", BlockElements: 256, BlockBytes: 66, Decode: decodeIQ2XXS, Swap: []Field{{0, 2, 33}}},
	{ID: 17, Name: "IQ2_XS", BlockElements: 256, BlockBytes: 74, Decode: decodeIQ2XS, Swap: []Field{{0, 2, 33}}},
	{ID: 18, Name: "IQ3_XXS", BlockElements: 256, BlockBytes: 98, Decode: decodeIQ3XXS, Swap: half0},
	{ID: 19, Name: "IQ1_S", BlockElements: 256, BlockBytes: 50, Decode: decodeIQ1S, Swap: []Field{{0, 2, 1}, {34, 2, 8}}},
	{ID: 20, Name: "IQ4_NL", BlockElements: 32, BlockBytes: 18, Decode: decodeIQ4NL, Swap: half0, Halves: true,
		Codes: &CodesForm{Bits: 4, SubBlock: 32, HalfScale: true, Table: iq4Values, Expand: expandIQ4NL}},
	{ID: 21, Name: "IQ3_S", BlockElements: 256, BlockBytes: 110, Decode: decodeIQ3S, Swap: half0},
	{ID: 22, Name: "IQ2_S", BlockElements: 256, BlockBytes: 82, Decode: decodeIQ2S, Swap: half0},
	{ID: 23, Name: "IQ4_XS", BlockElements: 256, BlockBytes: 136, Decode: decodeIQ4XS, Swap: halfPair0,
		Codes: &CodesForm{Bits: 4, SubBlock: 32, Table: iq4Values, Expand: expandIQ4XS}},
	{ID: 24, Name: "I8", BlockElements: 1, BlockBytes: 1},
	{ID: 25, Name: "I16", BlockElements: 1, BlockBytes: 2, Swap: half0},
	{ID: 26, Name: "I32", BlockElements: 1, BlockBytes: 4, Swap: []Field{{0, 4, 1}}},
	{ID: 27, Name: "I64", BlockElements: 1, BlockBytes: 8, Swap: []Field{{0, 8, 1}}},
	{ID: 28, Name: "F64", BlockElements: 1, BlockBytes: 8, Swap: []Field{{0, 8, 1}}},
	{ID: 29, Name: "IQ1_M", BlockElements: 256, BlockBytes: 56, Decode: decodeIQ1M, Swap: []Field{{48, 2, 4}}},
	{ID: 30, Name: "BF16", BlockElements: 1, BlockBytes: 2, Decode: decodeBF16, Swap: half0},
	{ID: 34, Name: "TQ1_0", BlockElements: 256, BlockBytes: 54, Decode: decodeTQ1_0, Swap: []Field{{52, 2, 1}}},
	{ID: 35, Name: "TQ2_0", BlockElements: 256, BlockBytes: 66, Decode: decodeTQ2_0, Swap: []Field{{64, 2, 1}}},
	{ID: 39, Name: "MXFP4", BlockElements: 32, BlockBytes: 17, Decode: decodeMXFP4,
		Codes: &CodesForm{Bits: 4, SubBlock: 32, Table: fp4Values, Expand: expandMXFP4}},
	{ID: 40, Name: "NVFP4", BlockElements: 64, BlockBytes: 36, Decode: decodeNVFP4},
	{ID: 41, Name: "Q1_0", BlockElements: 128, BlockBytes: 18, Decode: decodeQ1_0, Swap: half0},
	{ID: 42, Name: "Q2_0", BlockElements: 64, BlockBytes: 18, Decode: decodeQ2_0, Swap: half0},
}

var byID = func() map[uint32]*Type {
	m := make(map[uint32]*Type, len(types))
	for i := range types {
		m[types[i].ID] = &types[i]
	}
	return m
}()

// Types is the table, in the order of ids.
func Types() []Type { return types }

// ByID finds a type by its number in a tensor info.
func ByID(id uint32) (*Type, bool) {
	t, ok := byID[id]
	return t, ok
}

// ByName finds a type by ggml's name.
func ByName(name string) (*Type, bool) {
	for i := range types {
		if types[i].Name == name {
			return &types[i], true
		}
	}
	return nil, false
}

// Bytes is the size of elements in the file; ok is false when they are no whole blocks or the product
// overflows.
func (t *Type) Bytes(elements int64) (n int64, ok bool) {
	if elements < 0 || elements%int64(t.BlockElements) != 0 {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(elements)/uint64(t.BlockElements), uint64(t.BlockBytes))
	return int64(lo), hi == 0 && lo <= math.MaxInt64
}

// SwapBlocks turns whole blocks of a big-endian file into little-endian ones, in place.
func (t *Type) SwapBlocks(blocks []byte) {
	for ; len(blocks) >= t.BlockBytes; blocks = blocks[t.BlockBytes:] {
		for _, f := range t.Swap {
			for i := range f.Count {
				reverse(blocks[f.Offset+i*f.Size:][:f.Size])
			}
		}
	}
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// FirstBadBlock is the index of the first block with a NaN or infinite number, -1 if there is none, of a type of
// Halves. It looks at nothing else of the blocks.
func (t *Type) FirstBadBlock(blocks []byte) int {
	const exponent = 0x7c // of a half's high byte
	first := -1
	for _, f := range t.Swap {
		for i := range f.Count {
			for at := f.Offset + i*f.Size + 1; at < len(blocks); at += t.BlockBytes {
				if blocks[at]&exponent == exponent {
					if block := at / t.BlockBytes; first < 0 || block < first {
						first = block
					}
					break
				}
			}
		}
	}
	return first
}

// FirstNonFinite is the index of the first NaN or infinity, -1 if there is none.
func FirstNonFinite(values []float32) int {
	const exponent = 0x7f800000
	for i, v := range values {
		if math.Float32bits(v)&exponent == exponent {
			return i
		}
	}
	return -1
}
