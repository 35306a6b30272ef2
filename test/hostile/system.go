package hostile

import (
	"os"
	"path/filepath"
	"strings"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
)

// noFile is something that cannot be opened as a file; make returns the path to open.
func noFile(name string, make func(path string) (string, error)) Case {
	return Case{Name: name, Code: errs.FileOpen, Field: "path", Write: make}
}

func system() []Case {
	at := func(path string, err error) (string, error) { return path, err }
	return append(special(), []Case{
		noFile("a folder", func(path string) (string, error) { return at(path, os.Mkdir(path, 0o700)) }),
		noFile("nothing", func(path string) (string, error) { return path, nil }),
		noFile("a link to itself", func(path string) (string, error) { return at(path, os.Symlink(filepath.Base(path), path)) }),
		noFile("a link to a folder", func(path string) (string, error) { return at(path, os.Symlink("/", path)) }),
		noFile("a file as a folder", func(path string) (string, error) {
			return filepath.Join(path, "model.gguf"), os.WriteFile(path, Tiny(), 0o600)
		}),
		noFile("a name of 300 bytes", func(path string) (string, error) {
			return filepath.Join(filepath.Dir(path), strings.Repeat("n", 300)), nil
		}),

		sparseCase("a terabyte of zeros", is(errs.GGUFMagic, "magic"), func() []byte { return nil }, terabyte),
		sparseCase("a string of a terabyte, then a tensor", is(errs.GGUFLimit, "tensor info"), func() []byte {
			w := gguf.NewWriter()
			w.AddRaw("k", typeString, u64(terabyte-4096))
			return w.HeaderWithCounts(1, 1)
		}, terabyte),
		sparseCase("arrays of 2^24 empty strings", is(errs.GGUFMetadata, ""), hole(typeString, limits.ArrayElements, 9), terabyte),
		sparseCase("arrays of 2^24 empty arrays", is(errs.GGUFLimit, "k"), hole(typeArray, limits.ArrayElements, 9), terabyte),
		sparseCase("2^20 pairs in a hole", is(errs.GGUFMetadata, ""), hole(typeU8, 1, limits.MetadataPairs), terabyte),
		sparseCase("2^16 tensors in a hole", is(errs.GGUFDuplicate, ""), func() []byte {
			return gguf.NewWriter().HeaderWithCounts(limits.Tensors, 0)
		}, terabyte),
		hugeEmbedding(),
	}...)
}

// hugeEmbedding is a model that is right in every way, but its token table has 2^31−1 rows, in a hole.
func hugeEmbedding() Case {
	const rows = 1<<31 - 1
	return Case{Name: "a model of half a terabyte in a hole", Code: errs.MemoryLimit, Field: "model", Model: true, Write: func(path string) (string, error) {
		m := tiny("bert")
		w := gguf.NewWriter()
		for _, p := range m.pairs {
			w.Add(p.key, p.value)
		}
		for _, t := range m.tensors {
			size := int64(len(t.blocks))
			if t.name == "token_embd.weight" {
				t.shape[0], size = rows, rows*hidden*4
			}
			w.AddTensor(t.name, t.shape, t.typeID, size)
		}
		return sparse(path, w.Header(), int64(len(w.Header()))+w.DataBytes())
	}}
}
