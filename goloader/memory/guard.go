package memory

import (
	"unsafe"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// Guard refuses single heap allocations that would hurt the host. Large data belongs into a Region.
type Guard struct{}

// Check refuses a heap allocation over limits.HeapAllocationBytes.
func (Guard) Check(bytes int64) error {
	if bytes > limits.HeapAllocationBytes {
		return errs.New(errs.MemoryGuard, "",
			"BLOCKED: Allocation %d bytes exceeds 10MB limit. This prevents V8 heap crashes.", bytes)
	}
	return nil
}

// MakeSlice is make([]T, n) behind the guard, for slices whose length a file or a caller decides.
func MakeSlice[T any](n int64) ([]T, error) {
	var zero T
	size := int64(unsafe.Sizeof(zero))
	if n < 0 || (size > 0 && n > (1<<62)/size) {
		return nil, errs.New(errs.MemoryGuard, "", "a slice of %d elements was asked for", n)
	}
	if err := (Guard{}).Check(n * size); err != nil {
		return nil, err
	}
	return make([]T, n), nil
}
