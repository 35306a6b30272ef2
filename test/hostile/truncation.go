package hostile

import (
	"encoding/binary"
	"fmt"

	"gguf-stream/goloader/errs"
)

// AnyField: which part of the file names it is not the point.
const AnyField = "*"

// truncations cut the tiny model at every structural boundary: behind each length, key, type, value, dimension,
// offset and tensor.
func truncations() (cases []Case) {
	whole := Tiny()
	for _, b := range boundaries(whole) {
		cases = append(cases, Case{Name: "cut behind " + b.what, Code: errs.GGUFTruncated, Field: AnyField, Bytes: func() []byte { return whole[:b.at] }})
	}
	return cases
}

type boundary struct {
	what string
	at   int
}

// walker passes over a header of version 3, little-endian, and notes where each field ends.
type walker struct {
	data  []byte
	at    int
	found []boundary
}

func (w *walker) note(n int, what string) { w.at += n; w.found = append(w.found, boundary{what, w.at}) }

func (w *walker) u32(what string) (n uint32) {
	n = binary.LittleEndian.Uint32(w.data[w.at:])
	w.note(4, what)
	return n
}

func (w *walker) u64(what string) (n int) {
	n = int(binary.LittleEndian.Uint64(w.data[w.at:]))
	w.note(8, what)
	return n
}

func (w *walker) text(what string) string {
	n := w.u64("the length of " + what)
	s := string(w.data[w.at : w.at+n])
	w.note(n, what)
	return s
}

func boundaries(whole []byte) []boundary {
	w := &walker{data: whole}
	w.note(2, "half of the magic")
	w.note(2, "the magic")
	w.u32("the version")
	tensors, pairs := w.u64("the tensor count"), w.u64("the pair count")
	for i := range pairs {
		key := w.text(fmt.Sprintf("key %d", i))
		w.value(w.u32("the type of "+key), key)
	}
	for i := range tensors {
		name := w.text(fmt.Sprintf("tensor name %d", i))
		for d := range w.u32("the dimension count of " + name) {
			w.u64(fmt.Sprintf("dimension %d of %s", d, name))
		}
		w.u32("the type of " + name)
		w.u64("the offset of " + name)
	}
	w.found = append(w.found, boundary{"the padding of the header", (w.at + 31) / 32 * 32}, boundary{"half of the data", (w.at + len(whole)) / 2},
		boundary{"all data but one byte", len(whole) - 1})
	return w.found
}

var sizes = map[uint32]int{4: 4, 5: 4, 6: 4} // u32, i32, f32: what the tiny model has besides strings and arrays

func (w *walker) value(typ uint32, key string) {
	switch typ {
	case typeString:
		w.text("the value of " + key)
	case typeArray:
		element, n := w.u32("the element type of "+key), w.u64("the element count of "+key)
		if element != typeString {
			w.note(sizes[element]*n-1, "all elements but one byte of "+key)
			w.at++
			return
		}
		for i := range n {
			w.at += 8 + int(binary.LittleEndian.Uint64(w.data[w.at:]))
			if i == n-2 {
				w.note(0, "all strings but one of "+key)
			}
		}
	default:
		w.note(sizes[typ], "the value of "+key)
	}
}
