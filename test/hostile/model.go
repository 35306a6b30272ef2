package hostile

import (
	"math"
	"slices"

	"gguf-stream/goloader/errs"
)

// caseError is what a broken model must be refused with.
type caseError struct {
	code  errs.Code
	field string
}

func is(code errs.Code, field string) caseError { return caseError{code, field} }

func set(key string, v any) func(*model) { return func(m *model) { m.set(key, v) } }

func hyperparameters() (cases []Case) {
	for _, k := range []struct {
		key     string
		missing bool // also when it is absent
		values  map[string]any
	}{
		{"bert.block_count", true, map[string]any{"0": uint32(0), "513": uint32(513), "2^32−1": uint32(math.MaxUint32), "2^64−1": uint64(math.MaxUint64)}},
		{"bert.embedding_length", true, map[string]any{"0": uint32(0), "2^31": uint32(1 << 31), "2^64−1": uint64(math.MaxUint64)}},
		{"bert.attention.head_count", true, map[string]any{"0": uint32(0), "3, which does not divide": uint32(3), "2^32−1": uint32(math.MaxUint32)}},
		{"bert.feed_forward_length", true, map[string]any{"0": uint32(0), "2^32−1": uint32(math.MaxUint32)}},
		{"bert.context_length", true, map[string]any{"0": uint32(0), "1": uint32(1), "2^32−1": uint32(math.MaxUint32)}},
		{"bert.attention.layer_norm_epsilon", true, map[string]any{"0": float32(0), "negative": float32(-1e-5), "NaN": float32(math.NaN()),
			"infinite": float32(math.Inf(1)), "2": float32(2), "NaN in f64": math.NaN()}},
		{"bert.pooling_type", false, map[string]any{"4 (rank)": uint32(4), "9": uint32(9), "257, which truncates to 1": uint32(257), "2^32−1": uint32(math.MaxUint32)}},
	} {
		for name, v := range k.values {
			cases = append(cases, broken(k.key+" "+name, is(errs.ModelKey, k.key), set(k.key, v)))
		}
		if k.missing {
			cases = append(cases, broken(k.key+" missing", is(errs.ModelKey, k.key), func(m *model) { m.drop(k.key) }))
		}
	}
	return append(append(cases, wrongTypes()...), otherArchitectures()...)
}

// wrongTypes gives known keys a value of another type than theirs: a reader that takes the bits would go wrong.
func wrongTypes() (cases []Case) {
	for key, values := range map[string]map[string]any{
		"general.architecture":              {"a number": uint32(1), "an array": []string{"bert"}},
		"general.name":                      {"a number": uint32(7), "invalid UTF-8": rawValue{typeString, join(u64(2), []byte("\xff\xfe"))}},
		"bert.block_count":                  {"a float": float32(1), "a string": "1", "a bool": true, "an array": []int32{1}, "negative": int32(-1)},
		"bert.context_length":               {"a float": float32(16), "negative": int64(-16)},
		"bert.attention.layer_norm_epsilon": {"an integer": uint32(1), "a string": "1e-12"},
		"bert.pooling_type":                 {"a string": "mean", "negative": int32(-1)},
		"bert.attention.causal":             {"a number": uint32(0)},
		"tokenizer.ggml.model":              {"a number": uint32(0)},
		"tokenizer.ggml.tokens":             {"a string": "[PAD]", "numbers": []int32{1, 2, 3}, "nested arrays": []any{[]string{"a"}, []string{"b"}}},
		"tokenizer.ggml.token_type":         {"strings": slices.Repeat([]string{"1"}, len(tinyTokens)), "a number": uint32(1)},
		"tokenizer.ggml.cls_token_id":       {"a float": float32(2), "a string": "2", "negative": int32(-2)},
		"tokenizer.ggml.normalizer.lowercase": {
			"a number": uint32(1), "a string": "true"},
	} {
		for name, v := range values {
			cases = append(cases, broken(key+" "+name, is(errs.GGUFMetadata, key), set(key, v)))
		}
	}
	return cases
}

// otherArchitectures are models that this library would compute wrongly: refused, never approximated.
func otherArchitectures() []Case {
	rotary := func(name, key string, v any, code errs.Code) Case {
		return brokenArch("nomic-bert", name, is(code, "nomic-bert."+key), set("nomic-bert."+key, v))
	}
	return []Case{
		broken("architecture missing", is(errs.ModelKey, "general.architecture"), func(m *model) { m.drop("general.architecture") }),
		broken("architecture empty", is(errs.ModelKey, "general.architecture"), set("general.architecture", "")),
		broken("architecture unknown", is(errs.Architecture, "general.architecture"), set("general.architecture", "mpnet")),
		broken("architecture with a NUL", is(errs.Architecture, "general.architecture"), set("general.architecture", "bert\x00")),
		broken("attention is causal", is(errs.Architecture, "bert.attention.causal"), set("bert.attention.causal", true)),
		broken("grouped heads", is(errs.Architecture, "bert.attention.head_count_kv"), set("bert.attention.head_count_kv", uint32(1))),
		broken("no head of keys", is(errs.Architecture, "bert.attention.head_count_kv"), set("bert.attention.head_count_kv", uint32(0))),
		broken("another key length", is(errs.Architecture, "bert.attention.key_length"), set("bert.attention.key_length", uint32(16))),
		broken("a sliding window", is(errs.Architecture, "bert.attention.sliding_window"), set("bert.attention.sliding_window", uint32(4))),
		rotary("rotary base 0", "rope.freq_base", float32(0), errs.ModelKey),
		rotary("rotary base negative", "rope.freq_base", float32(-1000), errs.ModelKey),
		rotary("rotary base NaN", "rope.freq_base", float32(math.NaN()), errs.ModelKey),
		rotary("rotary base infinite", "rope.freq_base", float32(math.Inf(1)), errs.ModelKey),
		rotary("rotary heads of an odd size", "attention.head_count", uint32(64), errs.ModelKey),
		rotary("rotation of a part of the head", "rope.dimension_count", uint32(16), errs.Architecture),
		rotary("rotary scaling", "rope.scaling.type", "yarn", errs.Architecture),
		rotary("rotary table of 2^30 positions", "context_length", uint32(1<<30), errs.ModelKey),
	}
}

func tensors() (cases []Case) {
	for _, name := range []string{"token_embd.weight", "position_embd.weight", "token_embd_norm.weight", "token_embd_norm.bias",
		"blk.0.attn_q.weight", "blk.0.attn_q.bias", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.attn_output.bias",
		"blk.0.attn_output_norm.weight", "blk.0.ffn_up.weight", "blk.0.ffn_up.bias", "blk.0.ffn_down.weight", "blk.0.layer_output_norm.bias"} {
		cases = append(cases, broken("no "+name, is(errs.ModelTensor, name), func(m *model) { m.dropTensor(name) }))
	}
	shape := func(name string, typeName string, dims ...int64) Case {
		return broken(name+" of another shape", is(errs.ModelTensor, name), func(m *model) {
			m.dropTensor(name)
			m.add(name, typeName, dims...)
		})
	}
	for _, name := range []string{"dense_2.weight", "cls.weight", "cls.output.bias", "blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.bias"} {
		cases = append(cases, broken("a step that is not known here: "+name, is(errs.Architecture, name), func(m *model) { m.add(name, "F32", hidden) }))
	}
	return append(cases,
		shape("token_embd.weight", "F32", int64(len(tinyTokens))*hidden),
		shape("token_types.weight", "F32", 0, hidden),
		shape("position_embd.weight", "F32", context-1, hidden),
		shape("token_embd_norm.weight", "F32", hidden, 1),
		shape("token_embd_norm.bias", "F32", hidden+1),
		shape("blk.0.attn_q.weight", "Q8_0", hidden, 1, hidden),
		shape("blk.0.attn_k.weight", "Q8_0", 2*hidden, hidden/2),
		shape("blk.0.ffn_up.weight", "Q8_0", hidden, wide),
		shape("blk.0.ffn_down.weight", "Q8_0", wide, hidden),
		broken("one layer too many", is(errs.ModelTensor, "blk.1.attn_q.weight"), set("bert.block_count", uint32(2))),
		broken("another hidden size", is(errs.ModelTensor, "token_embd.weight"), set("bert.embedding_length", uint32(32))),
		broken("integers for weights", is(errs.TensorType, "blk.0.ffn_up.bias"), func(m *model) { m.tensor("blk.0.ffn_up.bias").typeID = 26 }),
		broken("f64 for weights", is(errs.TensorType, "blk.0.ffn_up.bias"), func(m *model) {
			m.dropTensor("blk.0.ffn_up.bias")
			m.add("blk.0.ffn_up.bias", "F64", wide)
		}),
		broken("a run-time type in a file", is(errs.TensorType, "blk.0.attn_q.weight"), func(m *model) {
			m.dropTensor("blk.0.attn_q.weight")
			m.add("blk.0.attn_q.weight", "Q8_1", hidden, hidden)
		}),
		broken("a scale beside the weights", is(errs.TensorType, "blk.0.attn_q.scale"), func(m *model) { m.add("blk.0.attn_q.scale", "F32", 1) }),
	)
}
