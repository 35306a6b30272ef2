package tokenizer

import "slices"

// specials finds special tokens in raw text, leftmost and longest first, as Hugging Face's added
// vocabulary does before it normalises.
type specials struct {
	first [256]bool // the bytes that one can begin with
	list  []special // longest first
}

type special struct {
	text string
	id   uint32
}

// newSpecials collects control, unknown and user-defined tokens.
func newSpecials(v *Vocabulary) *specials {
	s := &specials{}
	for id := range uint32(v.count) {
		switch v.types[id] {
		case Control, Unknown, UserDefined:
			if text := v.Text(id); len(text) > 0 {
				s.list = append(s.list, special{string(text), id})
				s.first[text[0]] = true
			}
		}
	}
	slices.SortStableFunc(s.list, func(a, b special) int { return len(b.text) - len(a.text) })
	return s
}

// next finds the first special token in text: its place, its id, its length; at = len(text) if none.
func (s *specials) next(text []byte) (at int, id uint32, size int) {
	for i, b := range text {
		if !s.first[b] {
			continue
		}
		for _, sp := range s.list {
			if len(sp.text) <= len(text)-i && string(text[i:i+len(sp.text)]) == sp.text {
				return i, sp.id, len(sp.text)
			}
		}
	}
	return len(text), 0, 0
}
