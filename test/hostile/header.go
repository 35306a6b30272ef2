package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/tensor"
)

const (
	magic        = "GGUF"
	alignmentKey = "general.alignment"
)

// tweak makes a file out of a writer that breaks something.
func tweak(f func(w *gguf.Writer)) func() []byte {
	return func() []byte {
		w := gguf.NewWriter()
		w.Add("general.architecture", "bert")
		f(w)
		return append(w.Header(), make([]byte, 4096)...)
	}
}

// raw joins bytes behind the magic.
func raw(parts ...[]byte) func() []byte {
	return func() []byte { return append([]byte(magic), bytes.Join(parts, nil)...) }
}

func u64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
func u32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pair(key string, v any) func() []byte { return tweak(func(w *gguf.Writer) { w.Add(key, v) }) }

func rawPair(typ uint32, parts ...[]byte) func() []byte {
	return tweak(func(w *gguf.Writer) { w.AddRaw("k", typ, join(parts...)) })
}

func oneTensor(name string, shape tensor.Shape, typeID uint32) func() []byte {
	return tweak(func(w *gguf.Writer) { w.AddTensor(name, shape, typeID, 4) })
}

func tensorAt(offset int64) func() []byte {
	return tweak(func(w *gguf.Writer) { w.AddTensorAt("t", tensor.Shape{1}, 0, offset) })
}

func twoTensors(nameB string, columnsA, columnsB, offsetA, offsetB int64) func() []byte {
	return tweak(func(w *gguf.Writer) {
		w.AddTensorAt("a", tensor.Shape{columnsA}, 0, offsetA)
		w.AddTensorAt(nameB, tensor.Shape{columnsB}, 0, offsetB)
	})
}

const (
	typeU8, typeString, typeArray, typeU64 = uint32(gguf.U8), uint32(gguf.String), uint32(gguf.Array), uint32(gguf.U64)

	f32, q80 = 0, 8 // ggml type ids
)

var header = []Case{
	{Name: "empty file", Code: errs.GGUFTruncated, Field: "header", Bytes: func() []byte { return nil }},
	{Name: "magic in lower case", Code: errs.GGUFMagic, Field: "magic", Bytes: func() []byte { return []byte("gguf\x03\x00\x00\x00") }},
	{Name: "magic reversed", Code: errs.GGUFMagic, Field: "magic", Bytes: func() []byte { return []byte("FUGG\x00\x00\x00\x03") }},
	{Name: "version 0", Code: errs.GGUFVersion, Field: "version", Bytes: raw(u32(0), u64(0), u64(0))},
	{Name: "version 4", Code: errs.GGUFVersion, Field: "version", Bytes: raw(u32(4), u64(0), u64(0))},
	{Name: "version 4, big-endian", Code: errs.GGUFVersion, Field: "version", Bytes: raw(u32(4<<24), u64(0), u64(0))},
	{Name: "version 2^31", Code: errs.GGUFVersion, Field: "version", Bytes: raw(u32(1<<31), u64(0), u64(0))},
	{Name: "version 2^16", Code: errs.GGUFVersion, Field: "version", Bytes: raw(u32(1<<16), u64(0), u64(0))},
	{Name: "2^64−1 tensors", Code: errs.GGUFLimit, Field: "header", Bytes: raw(u32(3), u64(math.MaxUint64), u64(0))},
	{Name: "2^63−1 tensors", Code: errs.GGUFLimit, Field: "tensor_count", Bytes: raw(u32(3), u64(math.MaxInt64), u64(0))},
	{Name: "2^32−1 tensors in version 1", Code: errs.GGUFLimit, Field: "tensor_count", Bytes: raw(u32(1), u32(math.MaxUint32), u32(0))},
	{Name: "2^63−1 pairs", Code: errs.GGUFLimit, Field: "metadata_kv_count", Bytes: raw(u32(3), u64(0), u64(math.MaxInt64))},
	{Name: "2^64−1 pairs", Code: errs.GGUFLimit, Field: "header", Bytes: raw(u32(3), u64(0), u64(math.MaxUint64))},
	{Name: "more tensors than bytes", Code: errs.GGUFTruncated, Field: "tensor_count", Bytes: raw(u32(3), u64(60000), u64(0))},
	{Name: "more pairs than bytes", Code: errs.GGUFTruncated, Field: "metadata_kv_count", Bytes: raw(u32(3), u64(0), u64(1<<20))},
	{Name: "one pair too many", Code: errs.GGUFMetadata, Bytes: func() []byte {
		w := gguf.NewWriter()
		w.Add("a", "b")
		return append(w.HeaderWithCounts(0, 2), make([]byte, 64)...)
	}},
	{Name: "a million pairs, the last one broken", Code: errs.GGUFMetadata, Field: "k", Bytes: func() []byte {
		w := gguf.NewWriter()
		for i := range 1000000 {
			w.Add(fmt.Sprint("k", i), uint8(i))
		}
		w.AddRaw("k", 13, nil)
		return append(w.Header(), make([]byte, 64)...)
	}},
	{Name: "more pairs than any file has", Code: errs.GGUFLimit, Field: "metadata_kv_count", Bytes: func() []byte {
		return append(raw(u32(3), u64(0), u64(limits.MetadataPairs+1))(), make([]byte, 16<<20)...)
	}},
	{Name: "one tensor too many", Code: errs.GGUFLimit, Field: "tensor info", Bytes: func() []byte {
		w := gguf.NewWriter()
		w.AddTensor("a", tensor.Shape{1}, f32, 4)
		return append(w.HeaderWithCounts(2, 0), bytes.Repeat([]byte{0xff}, 64)...)
	}},
	{Name: "key of 2^63 bytes", Code: errs.GGUFLimit, Field: "metadata key", Bytes: raw(u32(3), u64(0), u64(1), u64(1<<63), make([]byte, 99))},
	{Name: "key of 2^64−1 bytes", Code: errs.GGUFLimit, Field: "metadata key", Bytes: raw(u32(3), u64(0), u64(1), u64(math.MaxUint64), make([]byte, 99))},
	{Name: "key longer than the file", Code: errs.GGUFTruncated, Field: "metadata key", Bytes: raw(u32(3), u64(0), u64(1), u64(1<<40), make([]byte, 99))},
	{Name: "key of 64 KiB", Code: errs.GGUFMetadata, Field: "metadata key", Bytes: pair(strings.Repeat("k", limits.KeyBytes+1), "x")},
	{Name: "empty key", Code: errs.GGUFMetadata, Bytes: pair("", "x")},
	{Name: "key of invalid UTF-8", Code: errs.GGUFMetadata, Field: "metadata key", Bytes: pair("k\xff", "x")},
	{Name: "key twice", Code: errs.GGUFDuplicate, Field: "k", Bytes: tweak(func(w *gguf.Writer) { w.Add("k", "x"); w.Add("k", uint8(1)) })},
	{Name: "architecture twice", Code: errs.GGUFDuplicate, Field: "general.architecture", Bytes: pair("general.architecture", "nomic-bert")},
	{Name: "value type 13", Code: errs.GGUFMetadata, Field: "k", Bytes: rawPair(13, u64(0))},
	{Name: "value type 2^32−1", Code: errs.GGUFMetadata, Field: "k", Bytes: rawPair(math.MaxUint32, u64(0))},
	{Name: "string longer than the file", Code: errs.GGUFTruncated, Field: "k", Bytes: rawPair(typeString, u64(1<<40))},
	{Name: "string of 2^63 bytes", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeString, u64(1<<63))},
	{Name: "string of 2^64−1 bytes", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeString, u64(math.MaxUint64))},
	{Name: "array of an unknown type", Code: errs.GGUFMetadata, Field: "k", Bytes: rawPair(typeArray, u32(77), u64(0))},
	{Name: "array of 2^62 u64", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeArray, u32(typeU64), u64(1<<62))},
	{Name: "array of 2^61 u64, whose bytes wrap to 0", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeArray, u32(typeU64), u64(1<<61))},
	{Name: "array of 2^64−1 bytes", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeArray, u32(typeU8), u64(math.MaxUint64))},
	{Name: "array larger than the file", Code: errs.GGUFTruncated, Field: "k", Bytes: rawPair(typeArray, u32(typeU64), u64(1<<20))},
	{Name: "strings larger than the file", Code: errs.GGUFTruncated, Field: "k", Bytes: rawPair(typeArray, u32(typeString), u64(1<<20))},
	{Name: "arrays larger than the file", Code: errs.GGUFTruncated, Field: "k", Bytes: rawPair(typeArray, u32(typeArray), u64(1<<20))},
	{Name: "string in an array too long", Code: errs.GGUFTruncated, Field: "k", Bytes: rawPair(typeArray, u32(typeString), u64(1), u64(1<<30))},
	{Name: "string in an array of 2^63 bytes", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeArray, u32(typeString), u64(1), u64(1<<63))},
	{Name: "arrays nested five deep", Code: errs.GGUFLimit, Field: "k", Bytes: pair("k", []any{[]any{[]any{[]any{[]int32{1}}}}})},
	{Name: "arrays nested 100,000 deep", Code: errs.GGUFLimit, Field: "k", Bytes: rawPair(typeArray, bytes.Repeat(join(u32(typeArray), u64(1)), 100000))},
	{Name: "alignment 0", Code: errs.GGUFAlignment, Field: alignmentKey, Bytes: pair(alignmentKey, uint32(0))},
	{Name: "alignment 3", Code: errs.GGUFAlignment, Field: alignmentKey, Bytes: pair(alignmentKey, uint32(3))},
	{Name: "alignment 48", Code: errs.GGUFAlignment, Field: alignmentKey, Bytes: pair(alignmentKey, uint32(48))},
	{Name: "alignment 2^31", Code: errs.GGUFAlignment, Field: alignmentKey, Bytes: pair(alignmentKey, uint32(1<<31))},
	{Name: "alignment 2^32−1", Code: errs.GGUFAlignment, Field: alignmentKey, Bytes: pair(alignmentKey, uint32(math.MaxUint32))},
	{Name: "alignment a string", Code: errs.GGUFMetadata, Field: alignmentKey, Bytes: pair(alignmentKey, "32")},
	{Name: "alignment i32", Code: errs.GGUFMetadata, Field: alignmentKey, Bytes: pair(alignmentKey, int32(32))},
	{Name: "alignment u64", Code: errs.GGUFMetadata, Field: alignmentKey, Bytes: pair(alignmentKey, uint64(32))},
	{Name: "alignment an array", Code: errs.GGUFMetadata, Field: alignmentKey, Bytes: pair(alignmentKey, []int32{32})},
	{Name: "tensor name of 64 bytes", Code: errs.GGUFTensor, Field: "tensor info", Bytes: oneTensor(strings.Repeat("t", 64), tensor.Shape{1}, f32)},
	{Name: "tensor name of invalid UTF-8", Code: errs.GGUFTensor, Field: "tensor info", Bytes: oneTensor("t\xfe", tensor.Shape{1}, f32)},
	{Name: "tensor name of 2^64−1 bytes", Code: errs.GGUFLimit, Field: "tensor info", Bytes: raw(u32(3), u64(1), u64(0), u64(math.MaxUint64), make([]byte, 99))},
	{Name: "tensor twice", Code: errs.GGUFDuplicate, Field: "a", Bytes: twoTensors("a", 1, 1, 0, 32)},
	{Name: "five dimensions", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{1, 1, 1, 1, 1}, f32)},
	{Name: "2^32−1 dimensions", Code: errs.GGUFTensor, Field: "t", Bytes: raw(u32(3), u64(1), u64(0), u64(1), []byte("t"), u32(math.MaxUint32), make([]byte, 99))},
	{Name: "dimension 2^31", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{1 << 31}, f32)},
	{Name: "dimension 2^32+1, which truncates to 1", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{1<<32 + 1}, f32)},
	{Name: "negative dimension", Code: errs.GGUFLimit, Field: "t", Bytes: oneTensor("t", tensor.Shape{-1}, f32)},
	{Name: "dimensions whose product wraps", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{1 << 30, 1 << 30, 1 << 30, 2}, f32)},
	{Name: "dimensions whose product wraps to a small number", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{1 << 30, 1 << 30, 16}, f32)},
	{Name: "bytes that wrap", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{1 << 30, 1 << 30, 4}, f32)},
	{Name: "removed type 4", Code: errs.TensorType, Field: "t", Bytes: oneTensor("t", tensor.Shape{32}, 4)},
	{Name: "removed type 36", Code: errs.TensorType, Field: "t", Bytes: oneTensor("t", tensor.Shape{32}, 36)},
	{Name: "type 43", Code: errs.TensorType, Field: "t", Bytes: oneTensor("t", tensor.Shape{32}, 43)},
	{Name: "type 2^31", Code: errs.TensorType, Field: "t", Bytes: oneTensor("t", tensor.Shape{32}, 1<<31)},
	{Name: "type 2^32−1", Code: errs.TensorType, Field: "t", Bytes: oneTensor("t", tensor.Shape{32}, math.MaxUint32)},
	{Name: "row that cuts a block", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{2, 33}, q80)},
	{Name: "rows that cut blocks, of which the tensor has whole ones", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{32, 33}, q80)},
	{Name: "row that cuts a block of 256", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{384}, 12)},
	{Name: "scalar of a block type", Code: errs.GGUFTensor, Field: "t", Bytes: oneTensor("t", tensor.Shape{}, q80)},
	{Name: "tensor past the end", Code: errs.GGUFTruncated, Field: "t", Bytes: oneTensor("t", tensor.Shape{1 << 20}, f32)},
	{Name: "offset past the end", Code: errs.GGUFTruncated, Field: "t", Bytes: tensorAt(1 << 30)},
	{Name: "offset 2^63−32", Code: errs.GGUFTensor, Field: "t", Bytes: tensorAt(math.MaxInt64 - 31)},
	{Name: "offset −32", Code: errs.GGUFTensor, Field: "t", Bytes: tensorAt(-32)},
	{Name: "offset not aligned", Code: errs.GGUFTensor, Field: "t", Bytes: tensorAt(4)},
	{Name: "tensors that overlap", Code: errs.GGUFTensor, Field: "b", Bytes: twoTensors("b", 16, 4, 0, 32)},
	{Name: "tensors at one place", Code: errs.GGUFTensor, Field: "b", Bytes: twoTensors("b", 8, 8, 64, 64)},
}
