package embedder

import (
	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/gguf"
)

// Info describes a loaded model to its users.
type Info struct {
	Architecture   string            `json:"architecture"`
	Name           string            `json:"name"`
	Path           string            `json:"path"`
	FileBytes      int64             `json:"fileBytes"`
	TensorBytes    int64             `json:"tensorBytes"`
	WeightBytes    int64             `json:"weightBytes"`
	HiddenSize     int               `json:"hiddenSize"`
	Layers         int               `json:"layers"`
	Heads          int               `json:"heads"`
	FeedForward    int               `json:"feedForwardSize"`
	ContextLength  int               `json:"contextLength"`
	MaxTokens      int               `json:"maxTokens"`
	VocabularySize int               `json:"vocabularySize"`
	Parameters     int64             `json:"parameters"`
	Pooling        string            `json:"pooling"`
	Precision      string            `json:"precision"`
	Device         string            `json:"device"`
	Kernels        string            `json:"kernels"`
	Family         string            `json:"family"`
	Prefixes       map[string]string `json:"prefixes"`
	Dimensions     []int             `json:"dimensions"`
	TensorTypes    map[string]int64  `json:"tensorTypes"`
	Shared         bool              `json:"shared"`
}

func describe(f *gguf.File, m *model, plan *Plan, o LoadOptions, d device.Device) (Info, error) {
	name, err := f.Text("general.name", "")
	c := m.config
	return Info{Architecture: c.Architecture.Name, Name: name, Path: o.Path, FileBytes: f.Size(), TensorBytes: plan.TensorBytes,
		WeightBytes: plan.Weights, HiddenSize: c.HiddenSize, Layers: c.Layers, Heads: c.Heads, FeedForward: c.FeedForward,
		ContextLength: c.Context, MaxTokens: c.Context, VocabularySize: m.tokenizer.Len(), Parameters: m.layout.Parameters,
		Pooling: encoder.PoolingName(c.Pooling), Precision: precisionNames[o.Precision], Device: d.Name(), Kernels: d.KernelSet(),
		Family: m.family.Name, Prefixes: orEmpty(m.family.Prefixes), Dimensions: append([]int{}, m.family.Dimensions...), TensorTypes: plan.Types}, err
}

// orEmpty: JSON's {} instead of null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
