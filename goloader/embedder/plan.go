package embedder

import (
	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/stream"
)

// Plan is what a load will need, computed from the header alone.
type Plan struct {
	Architecture string           `json:"architecture"`
	Weights      int64            `json:"weights"`
	Staging      int64            `json:"staging"`
	Vocab        int64            `json:"vocab"`
	Total        int64            `json:"total"`
	Available    int64            `json:"available"`
	Fits         bool             `json:"fits"`
	TensorBytes  int64            `json:"tensorBytes"`
	Types        map[string]int64 `json:"types"` // bytes in the file by type
	config       *encoder.Config
	layout       *encoder.Layout
}

// plan refuses a file whose tokenizer is not known here, too: a load would only see it once all weights are read.
func (r *Runtime) plan(f *gguf.File, d device.Device, p device.Precision) (*Plan, error) {
	plan, err := r.planWeights(f, d, p)
	if err != nil {
		return nil, err
	}
	if _, err := tokenizerKind(f); err != nil {
		return nil, err
	}
	return plan, nil
}

// planWeights is the plan of a file whose tokenizer is checked elsewhere.
func (r *Runtime) planWeights(f *gguf.File, d device.Device, p device.Precision) (*Plan, error) {
	c, err := encoder.ReadConfig(f)
	if err != nil {
		return nil, err
	}
	l, err := encoder.ReadLayout(f, c)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Architecture: c.Architecture.Name, Staging: stream.LoaderBytes, Types: map[string]int64{}, config: c, layout: l}
	if plan.Weights, err = d.WeightBytes(l.Specs, p); err != nil {
		return nil, err
	}
	plan.Weights += c.RotaryBytes()
	if plan.Vocab, err = vocabularyBytes(f); err != nil {
		return nil, err
	}
	for i := range f.Tensors() {
		t := f.Tensor(i)
		plan.TensorBytes += t.Bytes
		plan.Types[t.Type.Name] += t.Bytes
	}
	plan.Total = plan.Weights + plan.Staging + plan.Vocab
	plan.Available, _ = r.monitor.Available(0)
	plan.Fits = plan.Total <= plan.Available
	return plan, nil
}
