package gguf

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// cursor reads a header forward through one window of limits.ChunkBytes. It knows how many bytes of the
// file are left, and every length is compared with them before anything is read or allocated.
type cursor struct {
	src    Source
	before int64 // bytes of earlier parts' headers
	order  binary.ByteOrder
	wide   bool // lengths and dimensions are u64 (v2, v3) or u32 (v1)
	pos    int64
	field  string // what is being read: a key, a tensor's name or a part of the header
	window []byte // bytes [start, start+filled) of the file
	start  int64
	filled int
	region *memory.Region
}

func newCursor(src Source, ledger *memory.Ledger) (*cursor, error) {
	r, err := ledger.Allocate(memory.Staging, limits.ChunkBytes)
	if err != nil {
		return nil, err
	}
	return &cursor{src: src, order: binary.LittleEndian, wide: true, window: r.Bytes(), region: r}, nil
}

func (c *cursor) close() { c.region.Free() }

func (c *cursor) left() int64 { return c.src.Size() - c.pos }

// next returns the n bytes at the position and moves on; n ≤ limits.ChunkBytes. The bytes are valid until
// the next call.
func (c *cursor) next(n int) ([]byte, error) {
	if int64(n) > c.left() {
		return nil, truncated(c.field, c.src.Size(), int64(n)-c.left())
	}
	if c.pos < c.start || c.pos+int64(n) > c.start+int64(c.filled) {
		if c.before+c.pos > limits.HeaderBytes {
			return nil, errs.At(errs.GGUFLimit, c.field, c.pos, "the header reaches offset %d, with those of earlier parts %d bytes; at most %d are allowed", c.pos, c.before+c.pos, limits.HeaderBytes)
		}
		size := min(int64(len(c.window)), c.left())
		if err := readFull(c.src, c.window[:size], c.pos, c.field); err != nil {
			return nil, err
		}
		c.start, c.filled = c.pos, int(size)
	}
	b := c.window[c.pos-c.start:][:n]
	c.pos += int64(n)
	return b, nil
}

func (c *cursor) skip(n int64) error {
	if n > c.left() {
		return truncated(c.field, c.src.Size(), n-c.left())
	}
	c.pos += n
	return nil
}

func (c *cursor) u32() (uint32, error) {
	b, err := c.next(4)
	if err != nil {
		return 0, err
	}
	return c.order.Uint32(b), nil
}

func (c *cursor) u64() (uint64, error) {
	b, err := c.next(8)
	if err != nil {
		return 0, err
	}
	return c.order.Uint64(b), nil
}

// length reads a count or a length, as wide as the version has it, that must fit int64.
func (c *cursor) length() (int64, error) {
	if !c.wide {
		n, err := c.u32()
		return int64(n), err
	}
	at := c.pos
	n, err := c.u64()
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64 {
		return 0, errs.At(errs.GGUFLimit, c.field, at, "a length of %d at offset %d is impossible", n, at)
	}
	return int64(n), nil
}

// text reads a string of at most limit bytes, which must be UTF-8. The bytes are valid until the next call.
func (c *cursor) text(limit int, code errs.Code) ([]byte, error) {
	at := c.pos
	n, err := c.length()
	if err != nil {
		return nil, err
	}
	if n > c.left() {
		return nil, truncated(c.field, c.src.Size(), n-c.left())
	}
	if n > int64(limit) {
		return nil, errs.At(code, c.field, at, "a name of %d bytes at offset %d; at most %d are allowed", n, at, limit)
	}
	b, err := c.next(int(n))
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, errs.At(code, c.field, at, "the name at offset %d is no valid UTF-8", at)
	}
	return b, nil
}

// skipString moves past a string's bytes.
func (c *cursor) skipString() error {
	n, err := c.length()
	if err != nil {
		return err
	}
	return c.skip(n)
}
