package hostile

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"gguf-stream/goloader/gguf"
)

// odd is a legal file that holds the tiny model, and something unusual.
func odd(name string, change func(m *model)) Case {
	return Case{Name: name, Model: true, Same: true, Bytes: func() []byte {
		m := tiny("bert")
		change(m)
		return m.bytes()
	}}
}

func align(n int64) func(m *model) {
	return func(m *model) {
		m.alignment = n
		m.set(alignmentKey, uint32(n))
	}
}

// legal is files that must load, and give the tiny model's vectors where they hold it.
func legal() []Case {
	return slices.Concat(legalLayout(), legalMetadata(), legalVocabulary(), legalSize(), legalTensors(), legalParts(), legalNomic())
}

func legalLayout() (cases []Case) {
	for _, v := range []uint32{1, 2, 3} {
		cases = append(cases, odd(fmt.Sprintf("version %d", v), func(m *model) { m.version = v }),
			odd(fmt.Sprintf("version %d, big-endian", v), func(m *model) { m.version, m.order = v, binary.BigEndian }))
	}
	for _, n := range []int64{1, 8, 64, 4096, 1 << 20} {
		cases = append(cases, odd(fmt.Sprintf("alignment %d", n), align(n)))
	}
	return cases
}

func legalMetadata() []Case {
	return []Case{
		odd("unknown keys of every type", func(m *model) {
			for i, v := range []any{uint8(1), int8(-1), uint16(1), int16(-1), uint32(1), int32(-1), float32(1), true, "text", []uint8{1}, uint64(1), int64(-1), 1.5, []string{"a", ""}, []float32{1}} {
				m.set(fmt.Sprint("extra.", i), v)
			}
		}),
		odd("empty strings and arrays", func(m *model) {
			m.set("a", "")
			m.set("b", []string{})
			m.set("c", []any{})
			m.set("d", []string{"", ""})
		}),
		odd("NUL in a string and a key", func(m *model) { m.set("general.description", "a\x00b"); m.set("k\x00", "v") }),
		odd("an unknown string of invalid UTF-8", func(m *model) { m.set("general.description", rawValue{typeString, join(u64(2), []byte("\xff\xfe"))}) }),
		odd("arrays nested four deep", func(m *model) { m.set("k", []any{[]any{[]any{[]int32{1, 2}}}}) }),
		odd("a bool of 2", func(m *model) { m.set("k", rawValue{uint32(gguf.Bool), []byte{2}}) }),
		odd("a key of 65,535 bytes", func(m *model) { m.set(strings.Repeat("k", 65535), "v") }),
		odd("integers of other widths", func(m *model) {
			m.set("bert.block_count", uint64(layers))
			m.set("bert.context_length", int16(context))
			m.set("bert.pooling_type", uint8(1))
			m.set("tokenizer.ggml.cls_token_id", int64(2))
			m.set("bert.attention.layer_norm_epsilon", 1e-12)
		}),
		odd("keys that say what is done anyway", func(m *model) {
			m.set("bert.attention.causal", false)
			m.set("bert.attention.head_count_kv", uint32(heads))
			m.set("bert.attention.key_length", uint32(hidden/heads))
			m.set("bert.attention.sliding_window", uint32(0))
		}),
	}
}

func legalVocabulary() []Case {
	return []Case{
		odd("special tokens that no key names", func(m *model) {
			for _, id := range []string{"unknown_token_id", "cls_token_id", "seperator_token_id"} {
				m.drop("tokenizer.ggml." + id)
			}
		}),
		odd("a vocabulary as in vocab.txt", func(m *model) {
			tokens := m.pairs[m.index(tokensKey)].value.([]string)
			for i, s := range tokens[5:] {
				if word, found := strings.CutPrefix(s, "\u2581"); found {
					tokens[5+i] = word
				} else {
					tokens[5+i] = "##" + s
				}
			}
		}),
		odd("garbage for a charsmap that nobody asks for", func(m *model) { m.set("tokenizer.ggml.precompiled_charsmap", slices.Repeat([]uint8{0xff}, 1000)) }),
	}
}

func legalSize() []Case {
	return []Case{
		odd("a million small pairs", func(m *model) {
			for i := range 1000000 {
				m.pairs = append(m.pairs, keyValue{fmt.Sprintf("k%d", i), uint8(i)})
			}
		}),
		odd("50 MB of metadata in one array", func(m *model) { m.set("k", make([]uint8, 10<<20)); m.set("l", make([]int32, 10<<20)) }),
		odd("50 MB of metadata in one string", func(m *model) { m.set("k", strings.Repeat("0123456789", 5<<20)) }),
		odd("50 MB of metadata in a million strings", func(m *model) { m.set("k", slices.Repeat([]string{strings.Repeat("x", 42)}, 1000000)) }),
	}
}

func legalTensors() []Case {
	return []Case{
		odd("tensors that nobody asks for", func(m *model) {
			m.add("extra.empty", "F32", 0)
			m.add("extra.scalar", "F32")
			m.add("extra.integers", "I64", 3)
			m.add("extra.four", "F16", 2, 1, 3, 4)
		}),
		odd("tensors in another order", func(m *model) { slices.Reverse(m.tensors) }),
		{Name: "no token types", Model: true, Bytes: WithoutTokenTypes},
		{Name: "no padding behind the last tensor", Model: true, Same: true, Bytes: func() []byte {
			m := tiny("bert")
			slices.Reverse(m.tensors) // so that the last one ends within a unit of alignment
			align(4096)(m)
			whole := m.bytes()
			last := m.tensors[len(m.tensors)-1]
			padding := m.writer().Padded(int64(len(last.blocks))) - int64(len(last.blocks))
			return whole[:int64(len(whole))-padding]
		}},
		{Name: "shuffled offsets, and a gap of a terabyte", Model: true, Same: true, Write: writeGap},
	}
}

func legalParts() []Case {
	return []Case{
		{Name: "two parts", Model: true, Same: true, Write: func(path string) (string, error) { return split().write(path) }},
		{Name: "two parts of different alignment", Model: true, Same: true, Write: func(path string) (string, error) {
			p := split()
			align(256)(p.second)
			return p.write(path)
		}},
		{Name: "two parts, the first of a wider alignment", Model: true, Same: true, Write: func(path string) (string, error) {
			p := split()
			align(4096)(p.first)
			return p.write(path)
		}},
	}
}

func legalNomic() []Case {
	return []Case{
		{Name: "nomic-bert", Model: true, Bytes: func() []byte { return tiny("nomic-bert").bytes() }},
		{Name: "nomic-bert, big-endian", Model: true, Bytes: func() []byte {
			m := tiny("nomic-bert")
			m.order = binary.BigEndian
			return m.bytes()
		}},
	}
}
