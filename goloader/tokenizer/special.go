package tokenizer

import (
	"bytes"
	"slices"
	"sort"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// specials finds special tokens in raw text, leftmost and longest first, as Hugging Face's added
// vocabulary does before it normalises. A place in a text costs at most limits.SpecialTokenBytes steps,
// however many special tokens a file has.
type specials struct {
	vocab  *Vocabulary
	marked bool      // the vocabulary's words, user-defined ones among them, begin with phantomSpace
	first  [256]bool // the bytes that one can begin with
	ids    []uint32  // in the order of their texts
}

// newSpecials collects control, unknown and user-defined tokens. Two of one text are refused.
func newSpecials(v *Vocabulary, marked bool) (*specials, error) {
	s := &specials{vocab: v, marked: marked}
	for id := range uint32(v.count) {
		if t := v.types[id]; t != Control && t != Unknown && t != UserDefined {
			continue
		}
		text := s.text(id)
		if len(text) > limits.SpecialTokenBytes || len(s.ids) == limits.SpecialTokens {
			return nil, errs.New(errs.TokenizerVocab, TypesKey, "special token %d has %d bytes; at most %d bytes and %d special tokens are possible",
				id, len(text), limits.SpecialTokenBytes, limits.SpecialTokens)
		}
		if len(text) > 0 {
			s.ids = append(s.ids, id)
			s.first[text[0]] = true
		}
	}
	slices.SortStableFunc(s.ids, func(a, b uint32) int { return bytes.Compare(s.text(a), s.text(b)) })
	for i := 1; i < len(s.ids); i++ {
		if a, b := s.ids[i-1], s.ids[i]; bytes.Equal(s.text(a), s.text(b)) {
			return nil, errs.New(errs.TokenizerVocab, TokensKey, "tokens %d and %d are the same: %q", a, b, s.text(a))
		}
	}
	return s, nil
}

// text is a special token as texts spell it: converters mark user-defined tokens as they mark words, and no others.
func (s *specials) text(id uint32) []byte {
	text := s.vocab.Text(id)
	if s.marked && s.vocab.types[id] == UserDefined {
		text = bytes.TrimPrefix(text, phantomSpace)
	}
	return text
}

// next finds the first special token in text: its place, its id, its length; at = len(text) if none.
func (s *specials) next(text []byte) (at int, id uint32, size int) {
	for i, b := range text {
		if s.first[b] {
			if id, size := s.longest(text[i:]); size > 0 {
				return i, id, size
			}
		}
	}
	return len(text), 0, 0
}

// longest is the longest special token that text begins with; size 0 if none. ids[lo:hi] are those that
// agree with text so far; the one that ends there stands first.
func (s *specials) longest(text []byte) (id uint32, size int) {
	lo, hi := 0, len(s.ids)
	for n := 0; lo < hi; n++ {
		if len(s.text(s.ids[lo])) == n {
			id, size = s.ids[lo], n
			lo++
		}
		if n == len(text) {
			break
		}
		from := lo
		lo += sort.Search(hi-from, func(i int) bool { return s.text(s.ids[from+i])[n] >= text[n] })
		hi = from + sort.Search(hi-from, func(i int) bool { return s.text(s.ids[from+i])[n] > text[n] })
	}
	return id, size
}
