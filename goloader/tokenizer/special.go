package tokenizer

import (
	"bytes"
	"slices"
	"sort"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// specials finds tokens that are no words in a text, leftmost and longest first, as Hugging Face's added vocabulary
// does. A place in a text costs at most limits.SpecialTokenBytes steps, however many such tokens a file has.
type specials struct {
	first [256]bool // the bytes that one can begin with
	list  []special // in the order of their texts
}

type special struct {
	text []byte
	id   uint32
}

// newSpecials collects the tokens of some types, by the texts that they are found by. Of two with one such text the first
// is found; if the vocabulary spells them alike they are refused.
func newSpecials(v *Vocabulary, textOf func(id uint32) []byte, types ...TokenType) (*specials, error) {
	s := new(specials)
	for id := range uint32(v.count) {
		if !slices.Contains(types, v.types[id]) {
			continue
		}
		text := textOf(id)
		if len(text) > limits.SpecialTokenBytes || len(s.list) == limits.SpecialTokens {
			return nil, errs.New(errs.TokenizerVocab, TypesKey, "special token %d has %d bytes; at most %d bytes and %d special tokens are possible",
				id, len(text), limits.SpecialTokenBytes, limits.SpecialTokens)
		}
		if len(text) > 0 {
			s.list = append(s.list, special{text, id})
			s.first[text[0]] = true
		}
	}
	slices.SortStableFunc(s.list, func(a, b special) int { return bytes.Compare(a.text, b.text) })
	for i := 1; i < len(s.list); i++ {
		if a, b := s.list[i-1].id, s.list[i].id; bytes.Equal(v.Text(a), v.Text(b)) {
			return nil, errs.New(errs.TokenizerVocab, TokensKey, "tokens %d and %d are the same: %q", a, b, v.Text(a))
		}
	}
	s.list = slices.CompactFunc(s.list, func(a, b special) bool { return bytes.Equal(a.text, b.text) })
	return s, nil
}

// next finds the first special token in text: its place, its id, its length; at = len(text) if none.
func (s *specials) next(text []byte) (at int, id uint32, size int) {
	for i, b := range text {
		if s.first[b] {
			if id, size, _ := s.longest(text[i:]); size > 0 {
				return i, id, size
			}
		}
	}
	return len(text), 0, 0
}

// longest is the longest special token that text begins with, size 0 if none; open: more text could make a longer one.
// list[lo:hi] are those that agree with text so far; the one that ends there stands first.
func (s *specials) longest(text []byte) (id uint32, size int, open bool) {
	lo, hi := 0, len(s.list)
	for n := 0; lo < hi; n++ {
		if len(s.list[lo].text) == n {
			id, size = s.list[lo].id, n
			lo++
		}
		if n == len(text) {
			break
		}
		from := lo
		lo += sort.Search(hi-from, func(i int) bool { return s.list[from+i].text[n] >= text[n] })
		hi = from + sort.Search(hi-from, func(i int) bool { return s.list[from+i].text[n] > text[n] })
	}
	return id, size, lo < hi
}
