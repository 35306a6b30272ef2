// Package tensor describes shapes: [rows, columns] with contiguous rows. GGUF stores dimensions in the
// opposite order; gguf's directory turns them once, and nothing above ever sees ne[].
package tensor

import (
	"fmt"
	"math/bits"
	"strings"
)

// Shape lists dimensions outermost first; the last one is contiguous. An empty shape is one element.
type Shape []int64

// Elements is the product of all dimensions; ok is false when one is negative or the product overflows.
func (s Shape) Elements() (n int64, ok bool) {
	n = 1
	for _, d := range s {
		if d < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > 1<<63-1 {
			return 0, false
		}
		n = int64(lo)
	}
	return n, true
}

// Columns is the length of a contiguous row; 1 for a scalar.
func (s Shape) Columns() int64 {
	if len(s) == 0 {
		return 1
	}
	return s[len(s)-1]
}

// Rows is the product of all dimensions but the last. The caller has checked Elements.
func (s Shape) Rows() int64 {
	n := int64(1)
	for _, d := range s[:max(0, len(s)-1)] {
		n *= d
	}
	return n
}

// Equal compares dimension by dimension.
func (s Shape) Equal(o Shape) bool {
	if len(s) != len(o) {
		return false
	}
	for i := range s {
		if s[i] != o[i] {
			return false
		}
	}
	return true
}

func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
