package hostile

import (
	"encoding/binary"
	"math"
	"slices"

	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// model is a file before it is written, so that a case can change one thing of it.
type model struct {
	version   uint32
	order     binary.ByteOrder
	alignment int64
	pairs     []keyValue
	tensors   []*tensorData
}

type keyValue struct {
	key   string
	value any // a rawValue, or what gguf.Writer.Add takes
}

type rawValue struct {
	typ   uint32
	bytes []byte
}

type tensorData struct {
	name   string
	shape  tensor.Shape
	typeID uint32
	blocks []byte // little-endian
}

// Sizes of the tiny models.
const (
	hidden, heads, wide, layers, context = 64, 2, 96, 1, 16
)

var tinyTokens = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2581hello", "\u2581world", "\u2581wor", "ld", "\u2581a", "b", "c", "\u2581!", "\u2581d"}

// tiny is a good model of one layer: bert, or nomic-bert.
func tiny(arch string) *model {
	m := &model{version: 3, order: binary.LittleEndian, alignment: 32}
	m.set("general.architecture", arch)
	m.set("general.name", "tiny")
	for _, p := range []struct {
		key   string
		value uint32
	}{{"block_count", layers}, {"context_length", context}, {"embedding_length", hidden}, {"feed_forward_length", wide}, {"attention.head_count", heads}, {"pooling_type", 1}} {
		m.set(arch+"."+p.key, p.value)
	}
	m.set(arch+".attention.layer_norm_epsilon", float32(1e-12))
	m.set("tokenizer.ggml.model", "bert")
	m.set("tokenizer.ggml.tokens", slices.Clone(tinyTokens))
	types := make([]int32, len(tinyTokens))
	for i := range types {
		types[i] = 1
		if i < 5 {
			types[i] = 3
		}
	}
	m.set("tokenizer.ggml.token_type", types)
	m.set("tokenizer.ggml.unknown_token_id", uint32(1))
	m.set("tokenizer.ggml.cls_token_id", uint32(2))
	m.set("tokenizer.ggml.seperator_token_id", uint32(3))
	m.addTensors(arch)
	return m
}

func (m *model) addTensors(arch string) {
	rotary := arch != "bert"
	m.add("token_embd.weight", "F32", int64(len(tinyTokens)), hidden)
	if rotary {
		m.set(arch+".rope.freq_base", float32(1000))
	} else {
		m.add("position_embd.weight", "F32", context, hidden)
	}
	m.add("token_types.weight", "F32", 2, hidden)
	m.norm("token_embd_norm")
	if rotary {
		m.add("blk.0.attn_qkv.weight", "Q8_0", 3*hidden, hidden)
		m.add("blk.0.ffn_gate.weight", "Q8_0", wide, hidden)
	} else {
		for _, name := range []string{"attn_q", "attn_k", "attn_v"} {
			m.add("blk.0."+name+".weight", "Q8_0", hidden, hidden)
			m.add("blk.0."+name+".bias", "F32", hidden)
		}
		m.add("blk.0.attn_output.bias", "F32", hidden)
		m.add("blk.0.ffn_up.bias", "F32", wide)
		m.add("blk.0.ffn_down.bias", "F32", hidden)
	}
	m.add("blk.0.attn_output.weight", "Q8_0", hidden, hidden)
	m.norm("blk.0.attn_output_norm")
	m.add("blk.0.ffn_up.weight", "Q8_0", wide, hidden)
	m.add("blk.0.ffn_down.weight", "Q8_0", hidden, wide)
	m.norm("blk.0.layer_output_norm")
}

func (m *model) norm(name string) {
	m.add(name+".weight", "F32", hidden)
	m.add(name+".bias", "F32", hidden)
}

// add appends a tensor of small pseudo-random values.
func (m *model) add(name, typeName string, shape ...int64) *tensorData {
	t, ok := quant.ByName(typeName)
	if !ok {
		panic(typeName)
	}
	n, _ := tensor.Shape(shape).Elements()
	size, ok := t.Bytes(n)
	if !ok {
		panic(name)
	}
	d := &tensorData{name: name, shape: shape, typeID: t.ID, blocks: make([]byte, size)}
	d.fill(t, uint32(len(m.tensors)))
	m.tensors = append(m.tensors, d)
	return d
}

// fill writes values below 1 (F32), or codes below scales of 2^-8.
func (d *tensorData) fill(t *quant.Type, seed uint32) {
	x := seed*2654435761 + 12345
	next := func() uint32 { x = x*1664525 + 1013904223; return x >> 16 }
	if t.Name == "F32" {
		for i := 0; i < len(d.blocks); i += 4 {
			binary.LittleEndian.PutUint32(d.blocks[i:], math.Float32bits(float32(next()%2001)/1000-1))
		}
		return
	}
	for i := range d.blocks {
		d.blocks[i] = byte(next())
	}
	const half = 0x1c00 // 2^-8
	for at := 0; at < len(d.blocks); at += t.BlockBytes {
		for _, f := range t.Swap {
			for i := range f.Count {
				if f.Size == 2 {
					binary.LittleEndian.PutUint16(d.blocks[at+f.Offset+2*i:], half)
				}
			}
		}
	}
}

func (m *model) set(key string, v any) {
	if i := m.index(key); i >= 0 {
		m.pairs[i].value = v
		return
	}
	m.pairs = append(m.pairs, keyValue{key, v})
}

func (m *model) index(key string) int {
	return slices.IndexFunc(m.pairs, func(p keyValue) bool { return p.key == key })
}

func (m *model) drop(key string) {
	i := m.index(key)
	m.pairs = slices.Delete(m.pairs, i, i+1)
}

func (m *model) tensor(name string) *tensorData {
	i := slices.IndexFunc(m.tensors, func(t *tensorData) bool { return t.name == name })
	return m.tensors[i]
}

func (m *model) dropTensor(name string) {
	m.tensors = slices.DeleteFunc(m.tensors, func(t *tensorData) bool { return t.name == name })
}

func (m *model) writer() *gguf.Writer {
	w := gguf.NewWriter()
	w.Version, w.Order, w.Alignment = m.version, m.order, m.alignment
	for _, p := range m.pairs {
		if r, ok := p.value.(rawValue); ok {
			w.AddRaw(p.key, r.typ, r.bytes)
		} else {
			w.Add(p.key, p.value)
		}
	}
	for _, t := range m.tensors {
		w.AddTensor(t.name, t.shape, t.typeID, int64(len(t.blocks)))
	}
	return w
}

func (m *model) bytes() []byte {
	w := m.writer()
	out := w.Header()
	start := int64(len(out))
	for _, t := range m.tensors {
		blocks := slices.Clone(t.blocks)
		if typ, ok := quant.ByID(t.typeID); ok && m.order == binary.BigEndian {
			typ.SwapBlocks(blocks)
		}
		out = append(out, blocks...)
		out = append(out, make([]byte, start+w.Padded(int64(len(out))-start)-int64(len(out)))...)
	}
	return out
}

// Tiny is the good model that the cases are mutations of.
func Tiny() []byte { return tiny("bert").bytes() }

// Named is a good model of an architecture under any general.name.
func Named(arch, name string) []byte {
	m := tiny(arch)
	m.set("general.name", name)
	return m.bytes()
}

// WithoutTokenTypes is the tiny model as DistilBERT's conversions are.
func WithoutTokenTypes() []byte {
	m := tiny("bert")
	m.dropTensor("token_types.weight")
	return m.bytes()
}

// OverflowingToken is the tiny model with one token, "hello", whose finite embedding overflows.
func OverflowingToken() []byte {
	m := tiny("bert")
	m.overflow(slices.Index(tinyTokens, "\u2581hello"))
	return m.bytes()
}

// overflow sets the embedding of tokens to the largest number.
func (m *model) overflow(tokens ...int) {
	blocks := m.tensor("token_embd.weight").blocks
	for _, token := range tokens {
		for i := range hidden {
			binary.LittleEndian.PutUint32(blocks[(token*hidden+i)*4:], math.Float32bits(math.MaxFloat32))
		}
	}
}

// broken is a case of a model that is changed.
func broken(name string, code caseError, change func(m *model)) Case {
	return brokenArch("bert", name, code, change)
}

func brokenArch(arch, name string, code caseError, change func(m *model)) Case {
	return Case{Name: name, Code: code.code, Field: code.field, Model: true, Bytes: func() []byte {
		m := tiny(arch)
		change(m)
		return m.bytes()
	}}
}
