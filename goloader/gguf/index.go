package gguf

import (
	"hash/maphash"
	"unsafe"

	"gguf-stream/goloader/memory"
)

// index is a growing off-heap list of entries with an off-heap hash table over them, so that a header
// of a million pairs costs the Go heap nothing. Names are not kept in it but read back from the file
// or the entry by the caller's same function.
type index[E any] struct {
	ledger  *memory.Ledger
	entries *memory.Region
	list    []E // capacity of the region
	count   int
	hashes  *memory.Region
	table   []uint32 // 0: free, else entry+1
	seed    maphash.Seed
	hashOf  func(*E) uint64
}

const firstEntries = 128

func newIndex[E any](ledger *memory.Ledger, hashOf func(*E) uint64) *index[E] {
	return &index[E]{ledger: ledger, seed: maphash.MakeSeed(), hashOf: hashOf}
}

func (x *index[E]) hash(name []byte) uint64 { return maphash.Bytes(x.seed, name) }

// find returns the entry of this hash for which same is true, or nil.
func (x *index[E]) find(hash uint64, same func(*E) (bool, error)) (*E, error) {
	if len(x.table) == 0 {
		return nil, nil
	}
	mask := uint64(len(x.table) - 1)
	for at := hash & mask; x.table[at] != 0; at = (at + 1) & mask {
		e := &x.list[x.table[at]-1]
		if x.hashOf(e) != hash {
			continue
		}
		if ok, err := same(e); ok || err != nil {
			return e, err
		}
	}
	return nil, nil
}

// add appends an entry; the caller has looked for duplicates.
func (x *index[E]) add(e E) error {
	if x.count == len(x.list) {
		if err := x.grow(); err != nil {
			return err
		}
	}
	x.list[x.count] = e
	x.count++
	x.insert(x.count - 1)
	return nil
}

func (x *index[E]) insert(i int) {
	mask := uint64(len(x.table) - 1)
	at := x.hashOf(&x.list[i]) & mask
	for x.table[at] != 0 {
		at = (at + 1) & mask
	}
	x.table[at] = uint32(i + 1)
}

// grow doubles the list and its table (at most half full).
func (x *index[E]) grow() error {
	n := max(firstEntries, 2*len(x.list))
	var zero E
	entries, err := x.ledger.Allocate(memory.Index, int64(n)*int64(unsafe.Sizeof(zero)))
	if err != nil {
		return err
	}
	hashes, err := x.ledger.Allocate(memory.Index, int64(n)*2*4)
	if err != nil {
		entries.Free()
		return err
	}
	list := memory.Slice[E](entries, 0, int64(n))
	copy(list, x.list)
	x.free()
	x.entries, x.hashes, x.list = entries, hashes, list
	x.table = memory.Slice[uint32](hashes, 0, int64(n)*2)
	for i := range x.count {
		x.insert(i)
	}
	return nil
}

// free releases the regions; entries are gone.
func (x *index[E]) free() {
	x.hashes.Free()
	x.entries.Free()
	x.hashes, x.entries, x.list, x.table = nil, nil, nil, nil
}
