package hostile

import "gguf-stream/goloader/errs"

// otherFormats are files that people rename or download by mistake.
func otherFormats() (cases []Case) {
	for name, start := range map[string]string{
		"GGML": "lmgg\x00\x00\x00\x00", "GGMF": "fmgg\x01\x00\x00\x00", "GGJT": "tjgg\x03\x00\x00\x00", "GGLA": "algg\x01\x00\x00\x00",
		"safetensors": "\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}", "PyTorch zip": "PK\x03\x04\x00\x00", "pickle": "\x80\x02}q\x00(",
		"ONNX": "\x08\x08\x12\x07pytorch", "HDF5": "\x89HDF\r\n\x1a\n", "NumPy": "\x93NUMPY\x01\x00", "TFLite": "\x1c\x00\x00\x00TFL3",
		"gzip": "\x1f\x8b\x08\x00", "xz": "\xfd7zXZ\x00", "zstd": "\x28\xb5\x2f\xfd", "tar": "model.gguf\x00\x00\x00", "PDF": "%PDF-1.7\n",
		"PNG": "\x89PNG\r\n\x1a\n", "ELF": "\x7fELF\x02\x01\x01", "Windows program": "MZ\x90\x00", "WebAssembly": "\x00asm\x01\x00\x00\x00",
		"SQLite": "SQLite format 3\x00", "Parquet": "PAR1\x15\x04", "a page of a login": "<!DOCTYPE html><html>", "JSON": "{\"error\":\"not found\"}",
		"a Git LFS pointer": "version https://git-lfs.github.com/spec/v1\n", "UTF-16": "\xff\xfeG\x00G\x00U\x00F\x00", "zeros": "\x00\x00\x00\x00\x00",
	} {
		cases = append(cases, Case{Name: name, Code: errs.GGUFMagic, Field: "magic", Bytes: func() []byte { return append([]byte(start), make([]byte, 4096)...) }})
	}
	return cases
}
