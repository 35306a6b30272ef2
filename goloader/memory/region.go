package memory

import (
	"sync/atomic"
	"unsafe"
)

// Region is accounted memory outside both heaps with one purpose. Free it once; Bytes is nil afterwards.
type Region struct {
	ledger  *Ledger
	purpose Purpose
	data    []byte
	mapping []byte
	freed   atomic.Bool
}

// Bytes is the region's memory, page aligned. Go's collector does not know it.
func (r *Region) Bytes() []byte { return r.data }

// Size is the number of bytes asked for.
func (r *Region) Size() int64 { return int64(len(r.data)) }

// Pointer is the address of the first byte.
func (r *Region) Pointer() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.data)) }

// AdviseHuge asks for huge pages: fewer page faults while loading, fewer TLB misses while computing.
// The kernel takes them only for aligned 2 MiB pieces that lie wholly inside, so nothing is wasted.
func (r *Region) AdviseHuge() { adviseHuge(r.mapping) }

// Seal makes the region read-only for the rest of its life.
func (r *Region) Seal() error { return protectReadOnly(r.mapping) }

// Free unmaps the region and takes it off the ledger. Calling it again does nothing.
func (r *Region) Free() {
	if r == nil || r.freed.Swap(true) {
		return
	}
	r.ledger.page.Bytes[r.purpose].Add(-int64(len(r.data)))
	r.ledger.page.Regions.Add(-1)
	unmap(r.mapping)
	r.data, r.mapping = nil, nil
}

// Slice views n values of type T from byte offset on. T holds no Go pointers.
func Slice[T any](r *Region, offset, n int64) []T {
	var zero T
	size := int64(unsafe.Sizeof(zero))
	if offset < 0 || n < 0 || n > (r.Size()-offset)/size {
		panic("memory: slice outside its region")
	}
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&r.data[offset])), n)
}
