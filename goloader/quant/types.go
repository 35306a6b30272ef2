// Package quant knows ggml's tensor types: how large their blocks are, what float32 values the blocks
// stand for, and, for types of block-scaled integer codes, the codes and scales themselves.
//
//	chunk of whole blocks ──Decode──▶ float32 [blocks · BlockElements]      every type that has values
//	                      └─Expand──▶ codes int8 [blocks · BlockElements]    value = scale·code + min
//	                                  scales, mins float32 [elements / SubBlock]
//	big-endian chunk ──Swap──▶ little-endian chunk, in place, before either
//
// All functions work on the caller's buffers, allocate nothing, keep no state, and may run on any
// goroutine. Values equal those of ggml's dequantize_row_* functions bit for bit (ggml-quants.c, ggml
// 0.25.1), NaN payloads aside: the arithmetic is float32, rounded after each operation; products are
// written float32(a*b) where a sum follows, since Go may otherwise fuse the two (it does on arm64).
package quant

import (
	"math/bits"
	"unsafe"
)

// Type is one of ggml's tensor types: a row of the table. Rows are shared and must not be changed.
type Type struct {
	ID            uint32 // in tensor infos
	Name          string // as ggml spells it, in capitals: "Q8_0", "Q4_K"
	BlockElements int    // values of one block; a row of a tensor is whole blocks
	BlockBytes    int
	// Decode turns whole blocks into len(blocks)/BlockBytes·BlockElements values. dst must hold them;
	// a shorter one panics. nil: ggml has no values for the type (it is an operand of dot products only).
	Decode func(dst []float32, blocks []byte)
	// Codes is the integer form; nil for types that are not integer codes times scales.
	Codes *CodesForm
	// Words are the parts of a block of more than one byte, which differ between byte orders.
	Words []Word
}

// Words in a row, of Size bytes each, Count of them, the first one at Offset of the block.
type Word struct{ Offset, Size, Count int }

// CodesForm describes a type whose values are scale·code + min, one scale (and min) for each SubBlock
// elements in order. Computed in float32 as float32(scale·float32(code)) + min this equals Decode bit
// for bit, the sign of zero included.
type CodesForm struct {
	Bits      int  // 4 or 8: how a device holds codes
	SubBlock  int  // elements that share a scale: 16 or 32
	Min       bool // there are mins; else mins is not touched and may be nil
	HalfScale bool // scales and mins are IEEE halves from the file: float32 to half is exact
	// Table: for Bits 4 a code is a nibble, 0 to 15, and stands for Table[code]. For Bits 8 a code
	// stands for itself, -128 to 127.
	Table [16]int8
	// Expand splits whole blocks into codes, one a value in order, and scales and mins, one a sub-block
	// (mins with the sign that makes the + hold). The slices must hold them; a shorter one panics.
	Expand func(codes []int8, scales, mins []float32, blocks []byte)
}

// Value is what a code stands for before scale and min.
func (c *CodesForm) Value(code int8) int8 {
	if c.Bits == 4 {
		return c.Table[code&15]
	}
	return code
}

// FirstNonFinite is the index of the first sub-block that stands for a NaN or an infinity whatever
// its codes or with some code (an MXFP4 scale of 2^127), -1 if there is none. mins may be nil.
func (c *CodesForm) FirstNonFinite(scales, mins []float32) int {
	i := FirstNonFinite(scales)
	if c.HalfScale || !c.overflows() {
		return firstOf(i, FirstNonFinite(mins))
	}
	for k, s := range scales {
		if largest := s * mxfp4Largest; largest-largest != 0 {
			return firstOf(k, FirstNonFinite(mins))
		}
	}
	return firstOf(i, FirstNonFinite(mins))
}

var types = [...]Type{
	{ID: 0, Name: "F32", BlockElements: 1, BlockBytes: 4, Decode: decodeF32, Words: []Word{{0, 4, 1}}},
}
