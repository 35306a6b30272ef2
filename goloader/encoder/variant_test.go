package encoder

import (
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/tensor"
	"gguf-stream/test/source"
)

// header opens a file of metadata alone, with a small model's keys.
func header(t *testing.T, arch string, add func(w *gguf.Writer)) *gguf.File {
	w := gguf.NewWriter()
	w.Add("general.architecture", arch)
	for key, v := range map[string]uint32{"block_count": 1, "embedding_length": 64, "attention.head_count": 4, "feed_forward_length": 32, "context_length": 16} {
		w.Add(arch+"."+key, v)
	}
	w.Add(arch+".attention.layer_norm_epsilon", float32(1e-12))
	add(w)
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := gguf.OpenSource(&source.Memory{Data: w.Header()}, ledger)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

// TestStepsAreRefused by their tensors alone, and tensors that change no vector are not.
func TestStepsAreRefused(t *testing.T) {
	for name, refused := range map[string]bool{
		"dense_2.weight": true, "cls.weight": true, "cls.output.weight": true, "blk.11.attn_q_norm.weight": true, "blk.0.attn_k_norm.bias": true,
		"pooler.dense.weight": false, "dense.weight": false, "blk.0.attn_q.weight": false, "blk.0.attn_output_norm.weight": false, "clsx": false,
	} {
		err := checkSteps(header(t, "bert", func(w *gguf.Writer) { w.AddTensor(name, tensor.Shape{0}, 0, 0) }))
		if !refused {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, errs.Architecture, errs.From(err).Code, name)
		require.Equal(t, name, errs.From(err).Field)
	}
}

// TestVariantsAreRefused: a key that would change the vectors is never passed over.
func TestVariantsAreRefused(t *testing.T) {
	for key, v := range map[string][2]any{
		"attention.head_count_kv": {uint32(4), uint32(2)}, "attention.key_length": {uint32(16), uint32(32)}, "attention.value_length": {uint32(16), uint32(8)},
		"attention.sliding_window": {uint32(0), uint32(128)}, "rope.dimension_count": {uint32(16), uint32(8)}, "attention.causal": {false, true},
		"rope.scaling.type": {"linear", "yarn"}, "rope.scaling.factor": {float32(1), float32(4)}, "embedding_length_out": {uint32(64), uint32(32)},
	} {
		for i, want := range []errs.Code{"", errs.Architecture} {
			_, err := ReadConfig(header(t, "nomic-bert", func(w *gguf.Writer) { w.Add("nomic-bert."+key, v[i]) }))
			if want == "" {
				require.NoError(t, err, key)
				continue
			}
			require.Equal(t, want, errs.From(err).Code, key)
			require.Equal(t, "nomic-bert."+key, errs.From(err).Field)
		}
	}
}
