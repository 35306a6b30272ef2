package gguf

import (
	"encoding/binary"
	"math/bits"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
)

// pairEntry is a metadata pair in the off-heap index.
type pairEntry struct {
	hash     uint64
	keyAt    int64
	valueAt  int64
	keyBytes uint32
	typ      uint32
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
