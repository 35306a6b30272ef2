package hostile

import (
	"os"

	"gguf-stream/goloader/gguf"
)

// sparse writes start and makes the file size bytes long: holes cost the disk nothing.
func sparse(path string, start []byte, size int64) (string, error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Write(start); err != nil {
		return "", err
	}
	return path, f.Truncate(size)
}

const terabyte = 1 << 40

func sparseCase(name string, code caseError, start func() []byte, size int64) Case {
	return Case{Name: name, Code: code.code, Field: code.field, Write: func(path string) (string, error) { return sparse(path, start(), size) }}
}

// hole is a header whose pairs say that they go on for so long, where the file has a hole.
func hole(element uint32, count uint64, pairs int) func() []byte {
	return func() []byte {
		w := gguf.NewWriter()
		w.AddRaw("k", typeArray, join(u32(element), u64(count)))
		return w.HeaderWithCounts(0, uint64(pairs))
	}
}

// writeGap writes the tiny model with its tensors' data in reverse order, the last of them a terabyte away.
func writeGap(path string) (string, error) {
	m := tiny("bert")
	w := gguf.NewWriter()
	for _, p := range m.pairs {
		w.Add(p.key, p.value)
	}
	offsets := make([]int64, len(m.tensors))
	next := int64(0)
	for i := len(m.tensors) - 1; i >= 0; i-- {
		if i == 0 {
			next = terabyte
		}
		offsets[i] = next
		next = w.Padded(next + int64(len(m.tensors[i].blocks)))
	}
	for i, t := range m.tensors {
		w.AddTensorAt(t.name, t.shape, t.typeID, offsets[i])
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	header := w.Header()
	if _, err := f.Write(header); err != nil {
		return "", err
	}
	for i, t := range m.tensors {
		if _, err := f.WriteAt(t.blocks, int64(len(header))+offsets[i]); err != nil {
			return "", err
		}
	}
	return path, nil
}
