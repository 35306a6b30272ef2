package hostile

import (
	"fmt"
	"math"
	"strings"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

const (
	tokensKey = "tokenizer.ggml.tokens"
	typesKey  = "tokenizer.ggml.token_type"
)

// withTokens replaces tokens of the tiny vocabulary.
func withTokens(replaced map[int]string) func(*model) {
	return func(m *model) {
		tokens := m.pairs[m.index(tokensKey)].value.([]string)
		for i, s := range replaced {
			tokens[i] = s
		}
	}
}

func withTypes(n int, replaced map[int]int32) func(*model) {
	return func(m *model) {
		types := m.pairs[m.index(typesKey)].value.([]int32)
		for len(types) < n {
			types = append(types, 1)
		}
		types = types[:n]
		for i, t := range replaced {
			types[i] = t
		}
		m.set(typesKey, types)
	}
}

func vocabularies() (cases []Case) {
	n := len(tinyTokens)
	vocab := is(errs.TokenizerVocab, tokensKey)
	for i, id := range []string{"unknown_token_id", "cls_token_id", "seperator_token_id"} {
		key := "tokenizer.ggml." + id
		cases = append(cases,
			broken(id+" one past the end", vocab, set(key, uint32(n))),
			broken(id+" 2^31", vocab, set(key, uint32(1<<31))),
			broken(id+" 2^64−1", vocab, set(key, uint64(math.MaxUint64))),
			broken(id+" missing, no token of its text, and the default outside", vocab, func(m *model) {
				m.drop(key)
				withTokens(map[int]string{i + 1: "[X]"})(m)
			}))
	}
	for name, t := range map[string]int32{"0": 0, "7": 7, "256": 256, "257, which truncates to 1": 257, "−1": -1, "2^31−1": math.MaxInt32} {
		cases = append(cases, broken("token type "+name, is(errs.TokenizerVocab, typesKey), withTypes(n, map[int]int32{6: t})))
	}
	return append(cases,
		broken("no tokenizer", is(errs.TokenizerKind, "tokenizer.ggml.model"), func(m *model) { m.drop("tokenizer.ggml.model") }),
		broken("an unknown tokenizer", is(errs.TokenizerKind, "tokenizer.ggml.model"), set("tokenizer.ggml.model", "rwkv")),
		broken("tokenizer \"none\"", is(errs.TokenizerKind, "tokenizer.ggml.model"), set("tokenizer.ggml.model", "none")),
		broken("no tokens", is(errs.ModelKey, tokensKey), func(m *model) { m.drop(tokensKey) }),
		broken("no token types", is(errs.ModelKey, typesKey), func(m *model) { m.drop(typesKey) }),
		broken("an empty vocabulary", vocab, func(m *model) { m.set(tokensKey, []string{}); m.set(typesKey, []int32{}) }),
		broken("types for fewer tokens", is(errs.TokenizerVocab, typesKey), withTypes(n-1, nil)),
		broken("types for more tokens", is(errs.TokenizerVocab, typesKey), withTypes(n+1, nil)),
		broken("no types at all", is(errs.TokenizerVocab, typesKey), set(typesKey, []int32{})),
		broken("more tokens than rows of the embedding", vocab, func(m *model) {
			m.set(tokensKey, append(append([]string{}, tinyTokens...), "one", "more"))
			withTypes(n+2, nil)(m)
		}),
		broken("a piece twice", vocab, withTokens(map[int]string{6: "\u2581hello"})),
		broken("a continuation twice", vocab, withTokens(map[int]string{11: "b"})),
		broken("a special token twice", vocab, withTokens(map[int]string{4: "[SEP]"})),
		broken("no mark of a word's begin", vocab, func(m *model) {
			for i := 5; i < n; i++ {
				withTokens(map[int]string{i: fmt.Sprint("w", i)})(m)
			}
		}),
		broken("both conventions", vocab, withTokens(map[int]string{8: "##ld", 10: "##b", 11: "##c"})),
		broken("a token of 5,000 bytes", vocab, withTokens(map[int]string{8: strings.Repeat("x", 5000)})),
		broken("a token of 70,000 bytes", is(errs.GGUFLimit, tokensKey), withTokens(map[int]string{8: strings.Repeat("x", limits.ChunkBytes+1)})),
		broken("a special token of 300 bytes", is(errs.TokenizerVocab, typesKey), withTokens(map[int]string{4: strings.Repeat("x", limits.SpecialTokenBytes+44)})),
	)
}
