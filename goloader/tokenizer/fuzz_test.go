package tokenizer_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/tokenizer"
)

// FuzzVocabulary builds a tokenizer of any tokens (one a line) and types: it is refused as a whole, or its ids stay
// inside it, whatever the text, and the special ids stand at both ends.
func FuzzVocabulary(f *testing.F) {
	ledger, err := memory.NewLedger() // one for all: a ledger's page is never given back
	require.NoError(f, err)
	f.Add([]byte("[UNK]\n[CLS]\n[SEP]\n\u2581hello\nb\n\u2581a"), []byte{3, 3, 3, 1, 1, 1}, uint8(0), "hello ab [SEP]")
	f.Add([]byte("[UNK]\n[CLS]\n[SEP]\nhello\n##b\na\n\n\n"), []byte{2, 3, 3, 1, 1, 1, 5, 6}, uint8(1), "Hello ab")
	f.Add([]byte("x\nx\n\u2581\n##\n\xff"), []byte{4, 4, 9}, uint8(200), "x \xff\u0301")
	f.Fuzz(func(t *testing.T, lines, types []byte, special uint8, text string) {
		if bytes.Count(lines, []byte("\n")) > 2000 {
			return
		}
		tokens := bytes.Split(lines, []byte("\n"))
		v, err := tokenizer.NewVocabulary(ledger, int64(len(tokens)), int64(len(lines)))
		require.NoError(t, err)
		err = fill(v, tokens, types)
		if err == nil {
			var tk tokenizer.Tokenizer
			kind, _ := tokenizer.FindKind("bert")
			at := int64(special)
			if tk, err = kind.Build(v, tokenizer.Config{UNK: at, CLS: at + 1, SEP: at + 2}); err == nil {
				checkIDs(t, tk, text, uint32(at))
			}
		}
		if err != nil {
			require.Equal(t, errs.TokenizerVocab, errs.From(err).Code)
		}
		v.Close()
		require.Zero(t, ledger.Total())
	})
}

func fill(v *tokenizer.Vocabulary, tokens [][]byte, types []byte) error {
	for _, s := range tokens {
		if err := v.Add(s); err != nil {
			return err
		}
	}
	for i, k := range types[:min(len(types), len(tokens))] {
		if err := v.SetType(i, uint64(k)); err != nil {
			return err
		}
	}
	return nil
}

func checkIDs(t *testing.T, tk tokenizer.Tokenizer, text string, unk uint32) {
	for _, o := range []tokenizer.Options{{}, {ParseSpecial: true, Truncate: true, MaxTokens: 5}, {ParseSpecial: true, Truncate: true, MaxTokens: 5, CountAll: true}} {
		ids, total, err := tk.Encode(nil, []byte(text), o, new(tokenizer.Scratch))
		require.NoError(t, err)
		require.Equal(t, unk+1, ids[0])
		require.Equal(t, unk+2, ids[len(ids)-1])
		require.GreaterOrEqual(t, total, len(ids))
		n, err := tokenizer.Count(tk, []byte(text), o, new(tokenizer.Scratch))
		require.NoError(t, err)
		require.Len(t, ids, n)
		for _, id := range ids {
			require.Less(t, int(id), tk.Len())
		}
		if o.MaxTokens > 0 {
			require.LessOrEqual(t, len(ids), o.MaxTokens)
		}
	}
}
