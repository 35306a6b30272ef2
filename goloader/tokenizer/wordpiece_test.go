package tokenizer_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/tokenizer"
)

func build(t testing.TB, tokens []string, types map[int]tokenizer.TokenType, c tokenizer.Config) (tokenizer.Tokenizer, *memory.Ledger, error) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	v, err := tokenizer.NewVocabulary(ledger, int64(len(tokens)), int64(len(strings.Join(tokens, ""))))
	require.NoError(t, err)
	for _, s := range tokens {
		require.NoError(t, v.Add([]byte(s)))
	}
	for i, k := range types {
		require.NoError(t, v.SetType(i, uint64(k)))
	}
	kind, err := tokenizer.FindKind("bert")
	require.NoError(t, err)
	tk, err := kind.Build(v, c)
	if err != nil {
		v.Close()
	} else {
		t.Cleanup(func() { tk.Close(); require.Zero(t, ledger.Total()) })
	}
	return tk, ledger, err
}

// miniLM builds the tokenizer of the bundled model.
func miniLM(t testing.TB) tokenizer.Tokenizer {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := gguf.Open("../../models/all-MiniLM-L6-v2.Q8_0.gguf", ledger)
	require.NoError(t, err)
	defer f.Close()
	var tokens []string
	types := map[int]tokenizer.TokenType{}
	v, _, err := f.Find("tokenizer.ggml.tokens")
	require.NoError(t, err)
	a, err := v.Array()
	require.NoError(t, err)
	require.NoError(t, a.Strings(0, func(_ int64, s []byte) error { tokens = append(tokens, string(s)); return nil }))
	v, _, err = f.Find("tokenizer.ggml.token_type")
	require.NoError(t, err)
	a, err = v.Array()
	require.NoError(t, err)
	require.NoError(t, a.Numbers(0, func(i int64, bits uint64) error { types[int(i)] = tokenizer.TokenType(bits); return nil }))
	tk, l, err := build(t, tokens, types, tokenizer.Config{CLS: 101, SEP: 102, UNK: 100})
	require.NoError(t, err)
	require.Less(t, l.Total(), int64(1<<20), "the vocabulary stays below 1 MiB")
	return tk
}

func eachLine(t testing.TB, path string, fn func(line string)) {
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	z, err := gzip.NewReader(file)
	require.NoError(t, err)
	for s := bufio.NewReader(z); ; {
		line, err := s.ReadString('\n')
		if line == "" && err != nil {
			return
		}
		fn(strings.TrimSuffix(line, "\n"))
	}
}

func TestEqualToHuggingFace(t *testing.T) {
	tk, n := miniLM(t), 0
	var s tokenizer.Scratch
	eachLine(t, "testdata/tokenize-bert.jsonl.gz", func(line string) {
		var g struct {
			T   string   `json:"t"`
			IDs []uint32 `json:"ids"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &g))
		ids, total, err := tk.Encode(nil, []byte(g.T), tokenizer.Options{ParseSpecial: true, Truncate: true}, &s)
		require.NoError(t, err)
		require.Equal(t, g.IDs, ids, "%q", g.T)
		require.Equal(t, len(ids), total)
		n++
	})
	require.Equal(t, 1596, n)
}

func small(t testing.TB) tokenizer.Tokenizer {
	tk, _, err := build(t, []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁hello", "▁he", "llo", "▁a", "b", "▁!"},
		map[int]tokenizer.TokenType{0: 3, 1: 3, 2: 3, 3: 3}, tokenizer.Config{CLS: 2, SEP: 3, UNK: 1})
	require.NoError(t, err)
	return tk
}

func encode(t testing.TB, tk tokenizer.Tokenizer, text string, o tokenizer.Options) []uint32 {
	ids, _, err := tk.Encode(nil, []byte(text), o, new(tokenizer.Scratch))
	require.NoError(t, err)
	return ids
}

func TestTruncation(t *testing.T) {
	tk := small(t)
	text := "hello hello ab !"
	for max, want := range map[int][]uint32{0: {2, 4, 4, 7, 8, 9, 3}, 7: {2, 4, 4, 7, 8, 9, 3}, 6: {2, 4, 4, 7, 8, 3}, 3: {2, 4, 3}, 2: {2, 3}} {
		ids, total, err := tk.Encode(nil, []byte(text), tokenizer.Options{MaxTokens: max, Truncate: true, CountAll: true}, new(tokenizer.Scratch))
		require.NoError(t, err)
		require.Equal(t, want, ids, "at most %d", max)
		require.Equal(t, 7, total)
	}
	_, _, err := tk.Encode(nil, []byte(text), tokenizer.Options{MaxTokens: 6}, new(tokenizer.Scratch))
	require.Equal(t, errs.TooLong, errs.From(err).Code)
	require.Contains(t, err.Error(), "7 tokens")
}

func TestSpecialTokens(t *testing.T) {
	tk := small(t)
	require.Equal(t, []uint32{2, 4, 3, 4, 3}, encode(t, tk, "hello[SEP]hello", tokenizer.Options{Truncate: true, ParseSpecial: true}))
	require.Equal(t, []uint32{2, 4, 1, 1, 1, 4, 3}, encode(t, tk, "hello[SEP]hello", tokenizer.Options{Truncate: true}))
}

// TestUserDefinedTokens are found in a text as they are spelled, without the mark that converters give them as to words.
func TestUserDefinedTokens(t *testing.T) {
	types := map[int]tokenizer.TokenType{0: tokenizer.Control, 4: tokenizer.UserDefined}
	for _, tokens := range [][]string{{"[UNK]", "▁a", "b", "▁c", "▁<code>"}, {"[UNK]", "a", "##b", "c", "<code>"}} {
		tk, _, err := build(t, tokens, types, tokenizer.Config{})
		require.NoError(t, err)
		require.Equal(t, []uint32{0, 1, 4, 1, 2, 4, 0}, encode(t, tk, "a<code>ab <code>", tokenizer.Options{Truncate: true, ParseSpecial: true}))
		require.NotContains(t, encode(t, tk, "a<code>", tokenizer.Options{Truncate: true}), uint32(4))
	}
	both, _, err := build(t, []string{"[UNK]", "▁a", "<b>", "▁<b>"}, map[int]tokenizer.TokenType{0: tokenizer.Control, 2: tokenizer.Control, 3: tokenizer.UserDefined}, tokenizer.Config{})
	require.NoError(t, err)
	require.Equal(t, []uint32{0, 2, 0}, encode(t, both, "<b>", tokenizer.Options{ParseSpecial: true}), "special tokens are looked for first")
}

// TestUserDefinedTokensAreNormalised: what transformers 5.24 gives for tokens of add_tokens.
func TestUserDefinedTokensAreNormalised(t *testing.T) {
	tokens := []string{"[UNK]", "▁a", "b", "▁b", "▁new", "▁York", "▁New York", "▁Café", "▁new york city", "▁CAFE", "▁中 b"}
	types := map[int]tokenizer.TokenType{0: tokenizer.Control}
	for id := 6; id < len(tokens); id++ {
		types[id] = tokenizer.UserDefined
	}
	lower := true
	tk, _, err := build(t, tokens, types, tokenizer.Config{Lowercase: &lower})
	require.NoError(t, err)
	for text, want := range map[string][]uint32{
		"a NEW\tYORK b": {0, 1, 6, 3, 0}, "new york city": {0, 8, 0}, "new york cit": {0, 6, 0, 0}, "new new york": {0, 4, 6, 0}, "newyork": {0, 0, 0},
		"acafe\u0301b": {0, 1, 7, 3, 0}, "CAFÉ": {0, 7, 0}, "new yorab": {0, 4, 0, 0}, "a new york": {0, 1, 6, 0}, "new yor": {0, 4, 0, 0}, "": {0, 0}} {
		require.Equal(t, want, encode(t, tk, text, tokenizer.Options{ParseSpecial: true}), "%q", text)
		cut := encode(t, tk, text, tokenizer.Options{ParseSpecial: true, Truncate: true, MaxTokens: 3})
		require.Len(t, cut, min(len(want), 3))
	}
}

// TestWord: what begins a word, without its mark, and nothing in brackets.
func TestWord(t *testing.T) {
	for _, tokens := range [][]string{{"[UNK]", "▁a", "b", "▁[unused0]"}, {"[UNK]", "a", "##b", "[unused0]"}} {
		tk, _, err := build(t, tokens, map[int]tokenizer.TokenType{0: tokenizer.Control}, tokenizer.Config{})
		require.NoError(t, err)
		var words []string
		for id := range uint32(tk.Len()) {
			if word, is := tk.Word(id); is {
				words = append(words, string(word))
			}
		}
		require.Equal(t, []string{"a"}, words)
	}
}

// TestIDsStayInTheCallersBuffer: room for as many ids as Count says is enough, though words begin with pieces before they
// turn out to be unknown.
func TestIDsStayInTheCallersBuffer(t *testing.T) {
	tk := miniLM(t)
	s, o := new(tokenizer.Scratch), tokenizer.Options{ParseSpecial: true}
	for text, want := range map[string][]uint32{"xqzxqz🦄": {101, 100, 102}, "hello tokenization🦄": {101, 7592, 100, 102}, "hello": {101, 7592, 102}} {
		n, err := tokenizer.Count(tk, []byte(text), o, s)
		require.NoError(t, err)
		buffer := make([]uint32, n)
		_, _, err = tk.Encode(buffer[:0], []byte(text), o, s)
		require.NoError(t, err)
		require.Equal(t, want, buffer, text)
	}
}

// TestEncodeThatIsGivenUpEnds: at its next look, long before the end of the text.
func TestEncodeThatIsGivenUpEnds(t *testing.T) {
	tk, s, flag := small(t), new(tokenizer.Scratch), new(atomic.Uint32)
	text := []byte(strings.Repeat("!", 1<<20))
	ids := make([]uint32, len(text)+2)
	_, total, err := tk.Encode(ids[:0], text, tokenizer.Options{Cancelled: flag}, s)
	require.NoError(t, err)
	require.Equal(t, len(ids), total)
	clear(ids)
	flag.Store(1)
	_, _, err = tk.Encode(ids[:0], text, tokenizer.Options{Cancelled: flag}, s)
	require.Equal(t, errs.Aborted, errs.From(err).Code)
	require.Zero(t, ids[1], "a token after the look")
	_, err = tokenizer.Count(tk, text, tokenizer.Options{Cancelled: flag}, s)
	require.Equal(t, errs.Aborted, errs.From(err).Code)
}

func TestWordsOfAHundredCharacters(t *testing.T) {
	tk := small(t)
	require.Len(t, encode(t, tk, "a"+strings.Repeat("b", 99), tokenizer.Options{Truncate: true}), 102)
	require.Equal(t, []uint32{2, 1, 3}, encode(t, tk, "a"+strings.Repeat("b", 100), tokenizer.Options{Truncate: true}))
	require.Equal(t, []uint32{2, 1, 3}, encode(t, tk, "a"+strings.Repeat("b", 1<<20), tokenizer.Options{Truncate: true}))
}

func TestHostileTextsAreLinear(t *testing.T) {
	tk := small(t)
	for _, unit := range []string{" ", "a", "é", "\u0301", "\u0e38\u0e48", "中", "[", "\xff", "\u1133\u0301", "각"} {
		encode(t, tk, strings.Repeat(unit, 1<<20/len(unit)), tokenizer.Options{Truncate: true, MaxTokens: 512, CountAll: true, ParseSpecial: true})
	}
}

func TestVocabulariesThatContradictThemselves(t *testing.T) {
	c := tokenizer.Config{CLS: 0, SEP: 0, UNK: 0}
	for name, tokens := range map[string][]string{
		"duplicate piece": {"[CLS]", "▁a", "▁b", "▁a"}, "no convention": {"a", "b"}, "both conventions": {"▁a", "▁b", "##c", "##d"}} {
		_, ledger, err := build(t, tokens, nil, c)
		require.Equal(t, errs.TokenizerVocab, errs.From(err).Code, name)
		require.Zero(t, ledger.Total(), name)
	}
	_, _, err := build(t, []string{"▁a", "▁b"}, nil, tokenizer.Config{CLS: 0, SEP: 2, UNK: 0})
	require.Equal(t, errs.TokenizerVocab, errs.From(err).Code)
	_, err = tokenizer.FindKind("gpt2")
	require.Equal(t, errs.TokenizerKind, errs.From(err).Code)
}

func TestBothConventionsAndCases(t *testing.T) {
	raw, _, err := build(t, []string{"[UNK]", "Hello", "a", "##b", "hello"}, map[int]tokenizer.TokenType{0: 3}, tokenizer.Config{})
	require.NoError(t, err)
	require.Equal(t, []uint32{0, 1, 2, 3, 0}, encode(t, raw, "Hello ab", tokenizer.Options{Truncate: true}), "a capital in the vocabulary: cased")
	yes := true
	lower, _, err := build(t, []string{"[UNK]", "Hello", "a", "##b", "hello"}, map[int]tokenizer.TokenType{0: 3}, tokenizer.Config{Lowercase: &yes})
	require.NoError(t, err)
	require.Equal(t, []uint32{0, 4, 2, 0}, encode(t, lower, "Hello á", tokenizer.Options{Truncate: true}))
}

// TestTokensThatNoWordBecomesSayNothingOfCase: BERT's Chinese vocabularies hold <S> and <T> beside [unused1], and are of lower case.
func TestTokensThatNoWordBecomesSayNothingOfCase(t *testing.T) {
	for _, tokens := range [][]string{{"[UNK]", "[unusedA]", "<S>", "hello", "##b"}, {"[UNK]", "▁[unusedA]", "▁<S>", "▁hello", "b"}} {
		tk, _, err := build(t, tokens, map[int]tokenizer.TokenType{0: tokenizer.Control}, tokenizer.Config{})
		require.NoError(t, err)
		require.Equal(t, []uint32{0, 3, 0}, encode(t, tk, "Hello", tokenizer.Options{Truncate: true}))
	}
}

func TestEncodeAllocatesNothingAndIsConcurrent(t *testing.T) {
	tk := miniLM(t)
	text := []byte("The quick brown fox — naïve café, 中文, 각하 — jumps over it.")
	var s tokenizer.Scratch
	dst := make([]uint32, 0, 64)
	want := encode(t, tk, string(text), tokenizer.Options{Truncate: true})
	require.LessOrEqual(t, testing.AllocsPerRun(50, func() {
		_, _, _ = tk.Encode(dst, text, tokenizer.Options{Truncate: true}, &s)
	}), 2.0, "the encoding and its callback, nothing per word")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var s tokenizer.Scratch
			for range 200 {
				ids, _, _ := tk.Encode(nil, text, tokenizer.Options{Truncate: true}, &s)
				if fmt.Sprint(ids) != fmt.Sprint(want) {
					t.Error("another goroutine's ids")
				}
			}
		})
	}
	wg.Wait()
}

func FuzzEncode(f *testing.F) {
	tk := small(f)
	f.Add("hello ab", 5)
	f.Add("e\u0301\u0323 \ufffd[SEP]", 3)
	f.Fuzz(func(t *testing.T, text string, max int) {
		max = max&0xff + 2
		ids := encode(t, tk, text, tokenizer.Options{MaxTokens: max, Truncate: true, ParseSpecial: true})
		require.LessOrEqual(t, len(ids), max)
		require.GreaterOrEqual(t, len(ids), 2)
		for _, id := range ids {
			require.Less(t, int(id), tk.Len())
		}
		require.Equal(t, ids, encode(t, tk, text, tokenizer.Options{MaxTokens: max, Truncate: true, ParseSpecial: true}))
	})
}

func BenchmarkEncode(b *testing.B) {
	tk := miniLM(b)
	text := []byte(strings.Repeat("Reciprocal rank fusion combines the results of several retrieval systems. ", 20))
	var s tokenizer.Scratch
	var dst []uint32
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		dst, _, _ = tk.Encode(dst[:0], text, tokenizer.Options{Truncate: true, ParseSpecial: true}, &s)
	}
	b.ReportMetric(float64(len(dst))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mtokens/s")
}
