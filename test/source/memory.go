// Package source is files for tests that are not on a disk: each is a gguf.Source.
package source

import "io"

// Memory is a file's bytes; reads may be made short or faulty.
type Memory struct {
	Data  []byte
	Limit int                      // most bytes a read gives; 0: all
	Fault func(offset int64) error // asked before a read; may be nil
}

// Size implements gguf.Source.
func (m *Memory) Size() int64 { return int64(len(m.Data)) }

// ReadAt implements gguf.Source.
func (m *Memory) ReadAt(p []byte, offset int64) (int, error) {
	if m.Fault != nil {
		if err := m.Fault(offset); err != nil {
			return 0, err
		}
	}
	if m.Limit > 0 && len(p) > m.Limit {
		p = p[:m.Limit]
	}
	n := copy(p, m.Data[min(offset, m.Size()):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
