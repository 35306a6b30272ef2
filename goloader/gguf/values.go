package gguf

import (
	"fmt"
	"math"
	"unicode/utf8"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// ValueType is the type of a metadata value (enum gguf_type).
type ValueType uint32

// The value types.
const (
	U8 ValueType = iota
	I8
	U16
	I16
	U32
	I32
	F32
	Bool
	String
	Array
	U64
	I64
	F64
	valueTypes
)

// valueInfo is a row of the table of value types: its name and bytes; 0 bytes for strings and arrays.
var valueInfo = [valueTypes]struct {
	name  string
	bytes int64
}{{"u8", 1}, {"i8", 1}, {"u16", 2}, {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4}, {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8}}

func (t ValueType) String() string {
	if t < valueTypes {
		return valueInfo[t].name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

func (t ValueType) integer() bool { return t <= I32 || t == U64 || t == I64 }

// Value is one metadata value, read from the file when asked for.
type Value struct {
	file *File
	part int
	key  string
	typ  ValueType
	at   int64 // offset of the value, behind its type
}

// Type is the stored type.
func (v Value) Type() ValueType { return v.typ }

// Key is the pair's key.
func (v Value) Key() string { return v.key }

func (v Value) mismatch(want string) error {
	return errs.At(errs.GGUFMetadata, v.key, v.at, "%s is of type %s; %s was expected", v.key, v.typ, want)
}

// raw reads the bits of a number, sign-extended for signed integers.
func (v Value) raw() (uint64, error) {
	var b [8]byte
	p := b[:valueInfo[v.typ].bytes]
	if err := readFull(v.file.parts[v.part].src, p, v.at, v.key); err != nil {
		return 0, err
	}
	return v.file.bits(v.typ, p), nil
}

// bits are the bits of one packed element, sign-extended for signed integers.
func (f *File) bits(t ValueType, p []byte) uint64 {
	switch len(p) {
	case 1:
		if t == I8 {
			return uint64(int64(int8(p[0])))
		}
		return uint64(p[0])
	case 2:
		if t == I16 {
			return uint64(int64(int16(f.order.Uint16(p))))
		}
		return uint64(f.order.Uint16(p))
	case 4:
		if t == I32 {
			return uint64(int64(int32(f.order.Uint32(p))))
		}
		return uint64(f.order.Uint32(p))
	}
	return f.order.Uint64(p)
}

// Bits is the number's bit pattern: integers sign-extended to 64 bits, f32 in the low 32, bool 0 or not.
func (v Value) Bits() (uint64, error) {
	if valueInfo[v.typ].bytes == 0 {
		return 0, v.mismatch("a number")
	}
	return v.raw()
}

// Uint is the value of any integer type that is not negative.
func (v Value) Uint() (uint64, error) {
	if !v.typ.integer() {
		return 0, v.mismatch("an integer")
	}
	n, err := v.raw()
	if err == nil && int64(n) < 0 && v.typ != U64 {
		return 0, errs.At(errs.GGUFMetadata, v.key, v.at, "%s is %d; it must not be negative", v.key, int64(n))
	}
	return n, err
}

// Float is the value of a float type.
func (v Value) Float() (float64, error) {
	if v.typ != F32 && v.typ != F64 {
		return 0, v.mismatch("a float")
	}
	n, err := v.raw()
	return floatOf(v.typ, n), err
}

func floatOf(t ValueType, bits uint64) float64 {
	if t == F32 {
		return float64(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}

// Bool is the value of a bool; any byte but 0 is true.
func (v Value) Bool() (bool, error) {
	if v.typ != Bool {
		return false, v.mismatch("a bool")
	}
	n, err := v.raw()
	return n != 0, err
}

// Text is the value of a string of at most limits.KeptStringBytes.
func (v Value) Text() (string, error) {
	if v.typ != String {
		return "", v.mismatch("a string")
	}
	c, err := v.file.cursorAt(v.at, v.key)
	if err != nil {
		return "", err
	}
	defer c.close()
	n, err := c.length()
	if err != nil {
		return "", err
	}
	if n > limits.KeptStringBytes {
		return "", errs.At(errs.GGUFLimit, v.key, v.at, "%s is a string of %d bytes; at most %d are read at once", v.key, n, limits.KeptStringBytes)
	}
	if n > c.left() {
		return "", truncated(v.key, c.src.Size(), n-c.left())
	}
	b := make([]byte, n)
	if err := readFull(c.src, b, c.pos, v.key); err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errs.At(errs.GGUFMetadata, v.key, v.at, "%s is no valid UTF-8", v.key)
	}
	return string(b), nil
}

// ArrayView is an array in the file; its elements are read when asked for.
type ArrayView struct {
	value       Value
	ElementType ValueType
	Len         int64
	at          int64 // offset of the first element
}

// Array is the view of an array.
func (v Value) Array() (ArrayView, error) {
	if v.typ != Array {
		return ArrayView{}, v.mismatch("an array")
	}
	c, err := v.file.cursorAt(v.at, v.key)
	if err != nil {
		return ArrayView{}, err
	}
	defer c.close()
	t, n, err := c.arrayHead()
	return ArrayView{value: v, ElementType: t, Len: n, at: c.pos}, err
}

// TextBytes is the view of a string's bytes, of any length and any encoding.
func (v Value) TextBytes() (ArrayView, error) {
	if v.typ != String {
		return ArrayView{}, v.mismatch("a string")
	}
	c, err := v.file.cursorAt(v.at, v.key)
	if err != nil {
		return ArrayView{}, err
	}
	defer c.close()
	n, err := c.length()
	return ArrayView{value: v, ElementType: U8, Len: n, at: c.pos}, err
}

// Strings calls fn for each string from element first on. s is valid during the call. Strings over
// limits.ChunkBytes are refused.
func (a ArrayView) Strings(first int64, fn func(i int64, s []byte) error) error {
	if a.ElementType != String {
		return a.value.mismatch("an array of strings")
	}
	c, err := a.value.file.cursorAt(a.at, a.value.key)
	if err != nil {
		return err
	}
	defer c.close()
	from := int64(0)
	if p := a.value.file.stopped.Load(); p != nil && p.array == a.at && p.element <= first {
		from, c.pos = p.element, p.offset
	}
	for i := from; i < a.Len; i++ {
		if i < first {
			if err := c.skipString(); err != nil {
				return err
			}
			continue
		}
		at := c.pos
		n, err := c.length()
		if err != nil {
			return err
		}
		if n > limits.ChunkBytes {
			return errs.At(errs.GGUFLimit, a.value.key, at, "element %d of %s has %d bytes; at most %d are allowed", i, a.value.key, n, limits.ChunkBytes)
		}
		s, err := c.next(int(n))
		if err != nil {
			return err
		}
		if err := fn(i, s); err != nil {
			a.value.file.stopped.Store(&stoppedAt{a.at, i + 1, c.pos})
			return err
		}
	}
	return nil
}

// stoppedAt is an element of an array of strings: who reads on from where the last reader stopped passes over nothing.
type stoppedAt struct{ array, element, offset int64 }

// Numbers calls fn with the bits (as Value.Bits) of each number from element first on.
func (a ArrayView) Numbers(first int64, fn func(i int64, bits uint64) error) error {
	size := valueInfo[a.ElementType].bytes
	if size == 0 {
		return a.value.mismatch("an array of numbers")
	}
	c, err := a.value.file.cursorAt(a.at, a.value.key)
	if err != nil {
		return err
	}
	defer c.close()
	first = min(max(first, 0), a.Len)
	if err := c.skip(first * size); err != nil {
		return err
	}
	for i := first; i < a.Len; i++ {
		p, err := c.next(int(size))
		if err != nil {
			return err
		}
		if err := fn(i, a.value.file.bits(a.ElementType, p)); err != nil {
			return err
		}
	}
	return nil
}

// arrayHead reads an array's element type and count, checked against what is left of the file.
func (c *cursor) arrayHead() (ValueType, int64, error) {
	at := c.pos
	t, err := c.u32()
	if err != nil {
		return 0, 0, err
	}
	if ValueType(t) >= valueTypes {
		return 0, 0, errs.At(errs.GGUFMetadata, c.field, at, "%s: element type %d at offset %d is unknown", c.field, t, at)
	}
	n, err := c.length()
	if err != nil {
		return 0, 0, err
	}
	if n > limits.ArrayElements {
		return 0, 0, errs.At(errs.GGUFLimit, c.field, at, "%s has %d elements; at most %d are allowed", c.field, n, limits.ArrayElements)
	}
	if need := n * c.minimum(ValueType(t)); need > c.left() {
		return 0, 0, truncated(c.field, c.src.Size(), need-c.left())
	}
	return ValueType(t), n, nil
}

// minimum is the fewest bytes that a value can take: what a count is compared with.
func (c *cursor) minimum(t ValueType) int64 {
	lengthBytes := int64(8)
	if !c.wide {
		lengthBytes = 4
	}
	switch t {
	case String:
		return lengthBytes
	case Array:
		return lengthBytes + 4
	}
	return valueInfo[t].bytes
}

// skipValue moves past a value; strings and numbers of arrays are not looked at but for their lengths.
func (c *cursor) skipValue(t ValueType, depth int) error {
	switch t {
	case String:
		return c.skipString()
	case Array:
		return c.skipArray(depth)
	}
	return c.skip(valueInfo[t].bytes)
}

func (c *cursor) skipArray(depth int) error {
	if depth >= limits.ArrayDepth {
		return errs.At(errs.GGUFLimit, c.field, c.pos, "%s nests arrays deeper than %d", c.field, limits.ArrayDepth)
	}
	t, n, err := c.arrayHead()
	if err != nil {
		return err
	}
	if size := valueInfo[t].bytes; size > 0 {
		return c.skip(n * size)
	}
	for range n {
		if err := c.skipValue(t, depth+1); err != nil {
			return err
		}
	}
	return nil
}
