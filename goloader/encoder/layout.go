package encoder

import (
	"fmt"
	"strings"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/tensor"
)

// Layout is which tensors of the file a model takes, as what, and where each stands in Specs.
type Layout struct {
	Specs      []device.TensorSpec
	Infos      []gguf.TensorInfo // the same order
	Vocabulary int               // rows of token_embd
	Parameters int64             // elements of all
	tokens     device.TensorID
	positions  device.TensorID // or NoTensor
	types      device.TensorID // or NoTensor
	norm       normTensors
	layers     []layerTensors
}

type normTensors struct{ weight, bias device.TensorID }

// linearTensors is one matrix with its bias and its first output column: q, k and v may be one tensor
// or three.
type linearTensors struct {
	weight, bias device.TensorID
	column       int
}

type layerTensors struct {
	qkv        []linearTensors
	output     linearTensors
	outputNorm normTensors
	up         []linearTensors // gate first where there is one
	down       linearTensors
	layerNorm  normTensors
}

// collector gathers tensors and keeps the first error.
type collector struct {
	file   *gguf.File
	layout *Layout
	biases bool
	err    error
}

// ReadLayout finds all tensors that the architecture needs. ERR_MODEL_TENSOR for one that is missing or has
// another shape, ERR_ARCHITECTURE for one that asks for another forward pass.
func ReadLayout(f *gguf.File, c *Config) (*Layout, error) {
	if err := checkSteps(f); err != nil {
		return nil, err
	}
	g := &collector{file: f, layout: &Layout{positions: device.NoTensor, types: device.NoTensor}, biases: c.Architecture.Biases}
	l, h := g.layout, int64(c.HiddenSize)
	l.tokens = g.lookup("token_embd.weight", -1, h)
	if c.Architecture.Positions == LearnedPositions {
		l.positions = g.lookup("position_embd.weight", int64(c.Context), h)
	}
	if _, found := f.FindTensor("token_types.weight"); found { // DistilBERT has none
		l.types = g.lookup("token_types.weight", -1, h)
	}
	l.norm = g.norm("token_embd_norm", h)
	for i := range c.Layers {
		l.layers = append(l.layers, g.layer(fmt.Sprintf("blk.%d.", i), c))
	}
	if g.err != nil {
		return nil, g.err
	}
	l.Vocabulary = int(l.Specs[l.tokens].Shape.Rows())
	for _, s := range l.Specs {
		n, _ := s.Shape.Elements()
		l.Parameters += n
	}
	return l, nil
}

func (g *collector) layer(prefix string, c *Config) (t layerTensors) {
	h, ff := int64(c.HiddenSize), int64(c.FeedForward)
	if _, fused := g.file.FindTensor(prefix + "attn_qkv.weight"); fused {
		t.qkv = []linearTensors{g.linear(prefix+"attn_qkv", 3*h, h, 0)}
	} else {
		for i, name := range []string{"attn_q", "attn_k", "attn_v"} {
			t.qkv = append(t.qkv, g.linear(prefix+name, h, h, i*c.HiddenSize))
		}
	}
	g.sensitive(t.qkv[len(t.qkv)-1]) // holds the values, whose errors go straight into the hidden state
	t.output = g.linear(prefix+"attn_output", h, h, 0)
	t.outputNorm = g.norm(prefix+"attn_output_norm", h)
	if c.Architecture.Activation.Gated() {
		t.up = []linearTensors{g.linear(prefix+"ffn_gate", ff, h, 0), g.linear(prefix+"ffn_up", ff, h, c.FeedForward)}
	} else {
		t.up = []linearTensors{g.linear(prefix+"ffn_up", ff, h, 0)}
	}
	t.down = g.linear(prefix+"ffn_down", h, ff, 0)
	t.layerNorm = g.norm(prefix+"layer_output_norm", h)
	return t
}

// find checks a tensor's shape; rows −1 takes any. Vectors have rows 0.
func (g *collector) find(name string, rows, columns int64, role device.Role) device.TensorID {
	if g.err != nil {
		return device.NoTensor
	}
	info, found := g.file.FindTensor(name)
	if !found {
		g.err = errs.New(errs.ModelTensor, name, "tensor %s is missing; convert the model again", name)
		return device.NoTensor
	}
	want := tensor.Shape{rows, columns}
	if role == device.Vector {
		want = tensor.Shape{columns}
	} else if rows < 0 && len(info.Shape) == 2 {
		want[0] = info.Shape[0]
	}
	if !info.Shape.Equal(want) || info.Bytes == 0 {
		g.err = errs.At(errs.ModelTensor, name, info.Offset, "tensor %s has shape %v; %v was expected", name, info.Shape, want)
		return device.NoTensor
	}
	if base, weight := strings.CutSuffix(name, ".weight"); weight {
		if scale, found := g.file.FindTensor(base + ".scale"); found { // of NVFP4: it multiplies the product
			g.err = errs.At(errs.TensorType, scale.Name, scale.Offset, "tensor %s scales another one, which is not known here", scale.Name)
			return device.NoTensor
		}
	}
	if info.Type.Decode == nil {
		g.err = errs.At(errs.TensorType, name, info.Offset, "tensor %s is of type %s, which has no values to decode", name, info.Type.Name)
		return device.NoTensor
	}
	g.layout.Specs = append(g.layout.Specs, device.TensorSpec{Name: name, Shape: info.Shape, Type: info.Type, Role: role})
	g.layout.Infos = append(g.layout.Infos, info)
	return device.TensorID(len(g.layout.Specs) - 1)
}

func (g *collector) lookup(name string, rows, columns int64) device.TensorID {
	return g.find(name, rows, columns, device.Lookup)
}

func (g *collector) norm(name string, n int64) normTensors {
	return normTensors{g.find(name+".weight", 0, n, device.Vector), g.find(name+".bias", 0, n, device.Vector)}
}

// sensitive marks a matrix, if it was found.
func (g *collector) sensitive(t linearTensors) {
	if t.weight != device.NoTensor {
		g.layout.Specs[t.weight].Sensitive = true
	}
}

func (g *collector) linear(name string, rows, columns int64, column int) linearTensors {
	t := linearTensors{weight: g.find(name+".weight", rows, columns, device.Matrix), bias: device.NoTensor, column: column}
	if _, found := g.file.FindTensor(name + ".bias"); found || g.biases {
		t.bias = g.find(name+".bias", 0, rows, device.Vector)
	}
	return t
}
