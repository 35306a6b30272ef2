package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// specialsOf makes every token but the first a control token.
func specialsOf(t *testing.T, texts ...string) (*specials, *Vocabulary, error) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	v, err := NewVocabulary(ledger, int64(len(texts)+1), int64(len(strings.Join(texts, ""))+1))
	require.NoError(t, err)
	t.Cleanup(func() { v.Close(); require.Zero(t, ledger.Total()) })
	require.NoError(t, v.Add([]byte("a")))
	for i, s := range texts {
		require.NoError(t, v.Add([]byte(s)))
		require.NoError(t, v.SetType(i+1, uint64(Control)))
	}
	s, err := newSpecials(v, v.Text, Control)
	return s, v, err
}

// TestSpecialsAsTheNaiveSearch: leftmost, then longest, over random sets with shared prefixes.
func TestSpecialsAsTheNaiveSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("abc"[r.IntN(3)])
		}
		return b.String()
	}
	for range 300 {
		seen, list := map[string]bool{"": true}, []string(nil)
		for range 1 + r.IntN(12) {
			if w := word(r.IntN(6)); !seen[w] {
				seen[w] = true
				list = append(list, w)
			}
		}
		s, v, err := specialsOf(t, list...)
		require.NoError(t, err)
		text := word(30)
		at, id, size := s.next([]byte(text))
		wantAt, want := len(text), ""
		for i := range text {
			for _, w := range list {
				if wantAt >= i && strings.HasPrefix(text[i:], w) && len(w) > len(want) {
					wantAt, want = i, w
				}
			}
		}
		require.Equal(t, wantAt, at, "%q in %q", list, text)
		require.Equal(t, len(want), size)
		if size > 0 {
			require.Equal(t, want, string(v.Text(id)))
		}
	}
}

func TestSpecialsThatAreRefused(t *testing.T) {
	for name, texts := range map[string][]string{"twice": {"[X]", "[Y]", "[X]"}, "too long": {strings.Repeat("x", limits.SpecialTokenBytes+1)}} {
		_, _, err := specialsOf(t, texts...)
		require.Equal(t, errs.TokenizerVocab, errs.From(err).Code, name)
	}
	_, _, err := specialsOf(t, "", "", "[X]")
	require.NoError(t, err, "empty tokens never match")
}

// TestManySpecialsStayLinear: a file of 60,000 special tokens must not make a text of 1 MiB a matter of minutes.
func TestManySpecialsStayLinear(t *testing.T) {
	texts := make([]string, 60000)
	for i := range texts {
		texts[i] = "a" + strings.Repeat("b", i%200) + string(rune(0x20000+i))
	}
	s, _, err := specialsOf(t, texts...)
	require.NoError(t, err)
	at, _, _ := s.next([]byte(strings.Repeat("ab", 1<<19)))
	require.Equal(t, 1<<20, at)
}
