// Package gguf reads GGUF files, versions 1 to 3 in both byte orders, without ever holding more of them
// than one window of 64 KiB, and writes them for tests.
//
//	file ──window 64 KiB──▶ cursor ──▶ pairs    off-heap index: hash, key's and value's offsets
//	                                └▶ tensors  off-heap index: name, shape, type, offset, bytes
//	Value, ArrayView ◀── read back from the file when asked for; arrays are never materialised
//	ReadTensor       ──▶ the caller's chunk, at most 64 KiB a read
//
// Every count and length is compared with what is left of the file before anything is read or
// allocated; errors name the key or tensor and the absolute byte offset. A File may be used from
// several goroutines until it is closed. Format: ggml/docs/gguf.md and ggml/src/gguf.cpp; where those
// are stricter than their own writers need (offsets without gaps), this reader follows gguf-py.
package gguf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"os"
	"sync/atomic"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// File is an open GGUF file with all its parts.
type File struct {
	ledger  *memory.Ledger
	wrap    func(Source) Source // or nil
	parts   []part
	order   binary.ByteOrder // of all parts
	version uint32           // of all parts
	headers int64            // bytes of all parts' that are read
	pairs   *index[pairEntry]
	tensors *index[tensorEntry]
	stopped atomic.Pointer[stoppedAt]
}

type part struct {
	path      string
	src       Source
	file      *os.File // nil for sources of tests
	identity  Identity
	alignment int64
}

// Open opens a file and, when it is the first part of a split one, all its parts.
func Open(path string, ledger *memory.Ledger) (*File, error) { return OpenThrough(path, ledger, nil) }

// OpenThrough is Open with every part read through what wrap makes of it; nil changes nothing. It is the seam
// through which tests inject faults.
func OpenThrough(path string, ledger *memory.Ledger, wrap func(Source) Source) (*File, error) {
	f := newFile(ledger)
	f.wrap = wrap
	if err := f.changedOr(f.openParts(path)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenSource opens a file of one part that is not on a disk.
func OpenSource(src Source, ledger *memory.Ledger) (*File, error) {
	f := newFile(ledger)
	f.parts = []part{{src: src, alignment: defaultAlignment}}
	if err := f.readHeader(0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func newFile(ledger *memory.Ledger) *File {
	return &File{ledger: ledger, order: binary.LittleEndian,
		pairs:   newIndex(ledger, func(e *pairEntry) uint64 { return e.hash }),
		tensors: newIndex(ledger, func(e *tensorEntry) uint64 { return e.hash })}
}

// Close frees the indexes and closes the parts. Calling it again does nothing.
func (f *File) Close() {
	f.tensors.free()
	f.pairs.free()
	f.tensors.count, f.pairs.count = 0, 0
	for _, p := range f.parts {
		if p.file != nil {
			p.file.Close()
		}
	}
	f.parts = nil
}

func (f *File) sameKey(e *pairEntry, key string) (bool, error) {
	if int(e.keyBytes) != len(key) {
		return false, nil
	}
	stored, err := f.readKey(e)
	return stored == key, err
}

func (f *File) readKey(e *pairEntry) (string, error) {
	b := make([]byte, e.keyBytes)
	err := readFull(f.parts[0].src, b, e.keyAt, "metadata key")
	return string(b), err
}

// Version is 1, 2 or 3.
func (f *File) Version() int { return int(f.version) }

// BigEndian tells the byte order of the header, the metadata and the numbers in blocks.
func (f *File) BigEndian() bool { return f.order == binary.BigEndian }

// Alignment is the first part's general.alignment or 32.
func (f *File) Alignment() int64 { return f.parts[0].alignment }

// Size is the sum of all parts' bytes.
func (f *File) Size() (n int64) {
	for _, p := range f.parts {
		n += p.src.Size()
	}
	return n
}

// Parts is the number of files.
func (f *File) Parts() int { return len(f.parts) }

// Fingerprint is that of all parts.
func (f *File) Fingerprint() (p Fingerprint) {
	for _, part := range f.parts {
		p = p.with(part.identity)
	}
	return p
}

// Pairs is the number of metadata pairs.
func (f *File) Pairs() int { return f.pairs.count }

// Pair is the i-th metadata pair, in the file's order.
func (f *File) Pair(i int) (Value, error) {
	e := f.pairs.list[i]
	key, err := f.readKey(&e)
	return Value{file: f, key: key, typ: ValueType(e.typ), at: e.valueAt}, err
}

// Find looks a key up. found is false when the file does not have it.
func (f *File) Find(key string) (v Value, found bool, err error) {
	e, err := f.pairs.find(f.pairs.hash([]byte(key)), func(o *pairEntry) (bool, error) { return f.sameKey(o, key) })
	if e == nil || err != nil {
		return Value{}, false, err
	}
	return Value{file: f, key: key, typ: ValueType(e.typ), at: e.valueAt}, true, nil
}

// Tensors is the number of tensors of all parts.
func (f *File) Tensors() int { return f.tensors.count }

// Tensor is the i-th tensor info, in the files' order.
func (f *File) Tensor(i int) TensorInfo { return f.tensors.list[i].info() }

// FindTensor looks a tensor up by name.
func (f *File) FindTensor(name string) (TensorInfo, bool) {
	b := []byte(name)
	e, _ := f.tensors.find(f.tensors.hash(b), func(o *tensorEntry) (bool, error) { return bytes.Equal(o.nameOf(), b), nil })
	if e == nil {
		return TensorInfo{}, false
	}
	return e.info(), true
}

// ReadTensor fills dst with a tensor's bytes from byte from on. len(dst) is at most limits.ChunkBytes.
func (f *File) ReadTensor(t *TensorInfo, from int64, dst []byte) error {
	if len(dst) > limits.ChunkBytes || from < 0 || from+int64(len(dst)) > t.Bytes {
		return errs.New(errs.InternalFault, t.Name, "a read of %d bytes at %d of tensor %s", len(dst), from, t.Name)
	}
	if f.parts == nil {
		return errs.New(errs.Closed, t.Name, "the file is closed")
	}
	return readFull(f.parts[t.Part].src, dst, t.Offset+from, t.Name)
}

// Changed is ERR_FILE_CHANGED when a part is no longer the file that was opened.
func (f *File) Changed() error {
	for _, p := range f.parts {
		if p.file == nil {
			continue
		}
		info, err := p.file.Stat()
		if err != nil || identityOf(p.file, info) != p.identity {
			return errs.New(errs.FileChanged, "path", "the file changed while it was read; load it again when it is complete: %s", p.path)
		}
	}
	return nil
}

// Conclude is what an operation on the file ends with: ERR_FILE_CHANGED if the file is no longer the one that was opened,
// whatever that has caused; else err, at its place in the file.
func (f *File) Conclude(err error) error { return f.changedOr(f.locate(err)) }

// callersOwn are the kinds of errors that are no file's doing.
var callersOwn = map[errs.Kind]bool{errs.Argument: true, errs.State: true}

func (f *File) changedOr(err error) error {
	if err != nil && callersOwn[errs.From(err).Kind()] {
		return err
	}
	return cmp.Or(f.Changed(), err)
}

func (f *File) cursorAt(at int64, field string) (*cursor, error) {
	if f.parts == nil {
		return nil, errs.New(errs.Closed, field, "the file is closed")
	}
	c, err := newCursor(f.parts[0].src, f.ledger)
	if err != nil {
		return nil, err
	}
	c.order, c.wide, c.pos, c.field = f.order, f.version > 1, at, field
	return c, nil
}
