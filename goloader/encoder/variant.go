package encoder

import (
	"path"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
)

// checkVariant refuses keys that ask for another forward pass than the architecture's row describes: passing
// over them would give wrong vectors in silence. Absent ones, and those that say what is done anyway, are fine.
func (r *keyReader) checkVariant(c *Config) error {
	r.only("attention.head_count_kv", c.Heads)
	r.only("attention.key_length", c.HeadSize)
	r.only("attention.value_length", c.HeadSize)
	r.only("attention.sliding_window", 0)
	r.only("rope.dimension_count", c.HeadSize)
	r.only("embedding_length_out", c.HiddenSize)
	causal, err := r.file.Flag(r.prefix + "attention.causal")
	r.refuse(err, "attention.causal", err == nil && causal != nil && *causal)
	factor, err := r.file.Float(r.prefix+"rope.scaling.factor", 1)
	r.refuse(err, "rope.scaling.factor", factor != 1)
	kind, err := r.file.Text(r.prefix+"rope.scaling.type", "none")
	r.refuse(err, "rope.scaling.type", kind != "none" && kind != "linear")
	return r.err
}

// only takes an integer key with one value.
func (r *keyReader) only(key string, want int) {
	n, err := r.file.Uint(r.prefix+key, uint64(want))
	r.refuse(err, key, n != uint64(want))
}

// refuse keeps err, or an error of its own when the key asks for something else.
func (r *keyReader) refuse(err error, key string, other bool) {
	if err == nil && other {
		err = errs.New(errs.Architecture, r.prefix+key, "%s%s asks for a variant of the architecture that is not known here", r.prefix, key)
	}
	if r.err == nil {
		r.err = err
	}
}

// otherSteps are the tensors, as path.Match has it, of steps that are in no architecture's row.
var otherSteps = []string{
	"dense_*.weight", // sentence-transformers' layers behind the pooling
	"cls.*",          // a reranker's classifier
	"blk.*.attn_q_norm.*", "blk.*.attn_k_norm.*",
}

// checkSteps refuses tensors that ask for another forward pass, as checkVariant does keys. Any others that no step
// uses, such as BERT's pooler, change no vector and are ignored.
func checkSteps(f *gguf.File) error {
	for i := range f.Tensors() {
		t := f.Tensor(i)
		for _, pattern := range otherSteps {
			if match, _ := path.Match(pattern, t.Name); match {
				return errs.At(errs.Architecture, t.Name, t.Offset, "tensor %s asks for a variant of the architecture that is not known here", t.Name)
			}
		}
	}
	return nil
}
