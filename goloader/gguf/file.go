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
	"math/bits"
	"os"
	"sync/atomic"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
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

// pairEntry is a metadata pair in the off-heap index.
type pairEntry struct {
	hash     uint64
	keyAt    int64
	valueAt  int64
	keyBytes uint32
	typ      uint32
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

// readHeader reads one part's header, pairs (kept of part 0 alone) and tensor infos.
func (f *File) readHeader(partIndex int) error {
	c, err := newCursor(f.parts[partIndex].src, f.ledger)
	if err != nil {
		return err
	}
	defer c.close()
	c.before = f.headers
	defer func() { f.headers += c.pos }()
	tensors, pairs, err := c.preamble(f)
	if err != nil {
		return err
	}
	if partIndex == 0 {
		err = f.readPairs(c, pairs)
	} else {
		err = f.readSplitPairs(c, partIndex, pairs)
	}
	if err != nil {
		return err
	}
	first := f.tensors.count
	if err := f.readTensors(c, partIndex, tensors); err != nil {
		return err
	}
	start := c.pos
	if tensors > 0 {
		alignment := f.parts[partIndex].alignment
		start = (c.pos + alignment - 1) / alignment * alignment
	}
	return f.locateTensors(partIndex, first, start)
}

// preamble reads magic, version and the two counts.
func (c *cursor) preamble(f *File) (tensors, pairs int64, err error) {
	c.field = "header"
	b, err := c.next(4)
	if err != nil {
		return 0, 0, err
	}
	if string(b) != magic {
		return 0, 0, errs.At(errs.GGUFMagic, "magic", 0, "the file starts with %q, not with GGUF%s", b, mistaken(c.window[:c.filled]))
	}
	if err := c.version(f); err != nil {
		return 0, 0, err
	}
	tensorsAt := c.pos
	if tensors, err = c.length(); err != nil {
		return 0, 0, err
	}
	pairsAt := c.pos
	if pairs, err = c.length(); err != nil {
		return 0, 0, err
	}
	return tensors, pairs, c.counts([]count{
		{"tensor_count", tensorsAt, tensors, limits.Tensors - int64(f.tensors.count), 4 + 4 + 4 + 8}, // other parts hold earlier ones
		{"metadata_kv_count", pairsAt, pairs, limits.MetadataPairs, 4 + 1 + 4 + 1},
	})
}

func (c *cursor) version(f *File) error {
	v, err := c.u32()
	if err != nil {
		return err
	}
	if v&0xffff == 0 && v != 0 { // the other byte order
		v, c.order = bits.ReverseBytes32(v), binary.BigEndian
	}
	if v < 1 || v > 3 {
		return errs.At(errs.GGUFVersion, "version", 4, "version %d of GGUF is not known; 1, 2 and 3 are", v)
	}
	if f.version != 0 && (f.version != v || f.order != c.order) {
		return errs.At(errs.GGUFSplit, "version", 4, "this part is of version %d, %v; the first one of version %d, %v", v, c.order, f.version, f.order)
	}
	c.wide = v > 1
	f.version, f.order = v, c.order
	return nil
}

// count is how many tensors or pairs follow. minimum is the fewest bytes of one, as of v1: the shortest of all versions.
type count struct {
	what                  string
	at, n, limit, minimum int64
}

// counts refuses numbers that the rest of the file cannot hold.
func (c *cursor) counts(all []count) error {
	for _, n := range all {
		if n.n > n.limit {
			return errs.At(errs.GGUFLimit, n.what, n.at, "%s is %d; at most %d are allowed", n.what, n.n, n.limit)
		}
		if need := n.n * n.minimum; need > c.left() {
			return truncated(n.what, c.src.Size(), need-c.left())
		}
	}
	return nil
}

// readPairs indexes all pairs of part 0 and learns the alignment.
func (f *File) readPairs(c *cursor, count int64) error {
	for range count {
		e, key, err := c.pairEntry()
		if err != nil {
			return err
		}
		e.hash = f.pairs.hash([]byte(key))
		same := func(o *pairEntry) (bool, error) { return f.sameKey(o, key) }
		o, err := f.pairs.find(e.hash, same)
		if err != nil {
			return err
		}
		if o != nil {
			return errs.At(errs.GGUFDuplicate, key, e.keyAt, "key %s stands twice in the file", key)
		}
		if err := f.pairs.add(e); err != nil {
			return err
		}
		if err := c.skipValue(ValueType(e.typ), 0); err != nil {
			return err
		}
		if key == alignmentKey {
			if err := f.readAlignment(0, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairEntry reads a key and a value's type; the cursor then stands at the value.
func (c *cursor) pairEntry() (e pairEntry, key string, err error) {
	c.field = "metadata key"
	at := c.pos
	name, err := c.text(limits.KeyBytes, errs.GGUFMetadata)
	if err != nil {
		return e, "", err
	}
	if len(name) == 0 {
		return e, "", errs.At(errs.GGUFMetadata, "", at, "the key at offset %d is empty", at)
	}
	key = string(name)
	c.field = key
	e.keyAt, e.keyBytes = c.pos-int64(len(name)), uint32(len(name))
	at = c.pos
	if e.typ, err = c.u32(); err != nil {
		return e, key, err
	}
	if ValueType(e.typ) >= valueTypes {
		return e, key, errs.At(errs.GGUFMetadata, key, at, "%s has value type %d, which is not known", key, e.typ)
	}
	e.valueAt = c.pos
	return e, key, nil
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

func (f *File) readAlignment(partIndex int, e pairEntry) error {
	v := Value{file: f, part: partIndex, key: alignmentKey, typ: ValueType(e.typ), at: e.valueAt}
	if v.typ != U32 {
		return v.mismatch("u32")
	}
	n, err := v.Uint()
	if err != nil {
		return err
	}
	if n == 0 || n&(n-1) != 0 || n > limits.AlignmentBytes {
		return errs.At(errs.GGUFAlignment, alignmentKey, e.valueAt, "the alignment is %d; it must be a power of two up to %d", n, limits.AlignmentBytes)
	}
	f.parts[partIndex].alignment = int64(n)
	return nil
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
