// Package memory owns everything large. Data lives off both heaps in Regions (anonymous mappings); a
// Ledger counts their bytes by purpose on one off-heap page; a Monitor compares what is needed with
// what the process may use before anything is allocated.
//
//	plan (bytes from the header) ──▶ Monitor.TryAllocate ──▶ Ledger.Allocate(purpose) ──▶ Region ──▶ Seal
//	                                     │ refused: ERR_MEMORY_LIMIT          │ counted on the page
//	                                     ▼                                    ▼
//	                              needed, available                   page of atomics, read by C
//
// The page is the one place where Go and C meet without a call: JavaScript's memory() is answered by C
// from it. Regions are freed in the reverse order of their making by whoever made them.
package memory

import (
	"sync/atomic"
	"unsafe"

	"gguf-stream/goloader/errs"
)

// Purpose is what a region is for; each has its own counter.
type Purpose uint8

// The purposes, in the order of the page's counters and of gs_counters in gguf_stream.h.
const (
	Weights     Purpose = iota // sealed model weights
	Activations                // workspaces of the forward pass
	Staging                    // chunk, decode and other buffers of a load; a job's inputs
	Vocab                      // a tokenizer's table and text
	Index                      // a GGUF file's off-heap index of keys and tensors
	Output                     // vectors and tensors handed to the caller
	purposeCount
)

var purposeNames = [purposeCount]string{"weights", "activations", "staging", "vocab", "index", "output"}

// Purposes is the number of purposes.
const Purposes = int(purposeCount)

func (p Purpose) String() string { return purposeNames[p] }

// Counters is the off-heap page. Its layout is gs_counters in gguf_stream.h; a test holds both together.
type Counters struct {
	Bytes    [purposeCount]atomic.Int64 // by purpose
	Regions  atomic.Int64               // live regions
	Budget   atomic.Int64               // the monitor's limit in bytes
	Reserved atomic.Int64               // what TryAllocate has granted
	System   atomic.Int64               // what the system leaves, as of the monitor's last look
	GoHeap   atomic.Int64               // HeapInuse of the Go runtime, as of the last load
	Working  atomic.Int64               // peak of chunk + decode + staging of the last load
}

// Ledger counts regions by purpose.
type Ledger struct {
	page     *Counters
	mapping  []byte
	allocate func(bytes int64) ([]byte, error) // the seam through which tests make memory run out
}

// NewLedger maps the page.
func NewLedger() (*Ledger, error) {
	m, err := mapAnonymous(int64(unsafe.Sizeof(Counters{})))
	if err != nil {
		return nil, errs.Wrap(err, errs.MemoryAllocation, "", errs.NoOffset, "no page for the counters")
	}
	return &Ledger{page: (*Counters)(unsafe.Pointer(unsafe.SliceData(m))), mapping: m, allocate: mapAnonymous}, nil
}

// Counters is the shared page; it stays valid as long as the process.
func (l *Ledger) Counters() *Counters { return l.page }

// Bytes is the sum over live regions of one purpose.
func (l *Ledger) Bytes(p Purpose) int64 { return l.page.Bytes[p].Load() }

// Total is the sum over all purposes.
func (l *Ledger) Total() int64 {
	n := int64(0)
	for p := range purposeCount {
		n += l.page.Bytes[p].Load()
	}
	return n
}

// FailAllocations makes Allocate ask this function instead of the operating system; nil undoes it. For tests.
func (l *Ledger) FailAllocations(f func(bytes int64) ([]byte, error)) {
	if f == nil {
		f = mapAnonymous
	}
	l.allocate = f
}

// Map is what Allocate asks the operating system with: for functions given to FailAllocations.
func Map(bytes int64) ([]byte, error) { return mapAnonymous(bytes) }

// Allocate maps a zeroed region of bytes (rounded up to pages by the system, counted as asked for).
func (l *Ledger) Allocate(p Purpose, bytes int64) (*Region, error) {
	if bytes <= 0 {
		bytes = 1
	}
	m, err := l.allocate(bytes)
	if err != nil {
		return nil, errs.Wrap(err, errs.MemoryAllocation, p.String(), errs.NoOffset, "%d bytes for %s", bytes, p)
	}
	l.page.Bytes[p].Add(bytes)
	l.page.Regions.Add(1)
	return &Region{ledger: l, purpose: p, data: m[:bytes], mapping: m}, nil
}
