package embedder

import (
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// joiner puts a prefix in front of a text: in a buffer that is used again, or off the heap where that would be large.
type joiner struct {
	ledger *memory.Ledger
	short  []byte
	long   *memory.Region
}

// join returns prefix and text together, valid until the next call.
func (j *joiner) join(prefix, text []byte) ([]byte, error) {
	j.free()
	if len(prefix) == 0 {
		return text, nil
	}
	n := len(prefix) + len(text)
	if n <= limits.ChunkBytes {
		j.short = append(append(j.short[:0], prefix...), text...)
		return j.short, nil
	}
	var err error
	if j.long, err = j.ledger.Allocate(memory.Staging, int64(n)); err != nil {
		return nil, err
	}
	joined := j.long.Bytes()[:n]
	copy(joined[copy(joined, prefix):], text)
	return joined, nil
}

// free gives up what is off the heap.
func (j *joiner) free() {
	j.long.Free()
	j.long = nil
}
