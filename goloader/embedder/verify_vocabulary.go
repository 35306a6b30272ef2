package embedder

import (
	"slices"

	"gguf-stream/goloader/tokenizer"
)

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// leastReached is the share of pieces that begin a word which must come out as themselves. Real vocabularies reach over
// nine tenths; a cased one under a flag for lower case loses its names.
const leastReached = 0.9

// vocabulary builds the tokenizer and asks whether it agrees with itself: special tokens are special, and a word of the
// vocabulary becomes its own token.
func (v *verification) vocabulary() (err error) {
	if v.file == nil {
		return errSkip
	}
	if v.tokenizer, err = loadTokenizer(v.file, v.runtime.ledger); err != nil {
		return err
	}
	if v.layout != nil {
		if err := checkRows(v.tokenizer, v.layout); err != nil {
			return err
		}
		if n := v.tokenizer.Len(); n < v.layout.Vocabulary {
			v.check.say("token_embd has %d rows for %d tokens", v.layout.Vocabulary, n)
		}
	}
	var s tokenizer.Scratch
	ends, err := v.encode(nil, &s)
	if err != nil {
		return err
	}
	for _, id := range ends {
		text := v.tokenizer.Text(id)
		ids, err := v.encode(text, &s)
		if err != nil {
			return err
		}
		inside := 0
		for _, other := range ids {
			if other == id {
				inside++
			}
		}
		if len(ids) != len(ends)+1 || inside != 2 { // once as the frame, once as the text
			v.check.warn("token %d, %q, frames every text, but is no special token", id, text)
		}
	}
	return v.words(&s, len(ends))
}

func (v *verification) encode(text []byte, s *tokenizer.Scratch) ([]uint32, error) {
	ids, _, err := v.tokenizer.Encode(nil, text, tokenizer.Options{ParseSpecial: true}, s)
	return ids, err
}

// words encodes by itself every token that is a word.
func (v *verification) words(s *tokenizer.Scratch, frame int) error {
	words, reached := 0, 0
	for id := range uint32(v.tokenizer.Len()) {
		word, is := v.tokenizer.Word(id)
		if !is {
			continue
		}
		ids, err := v.encode(word, s)
		if err != nil {
			return err
		}
		words++
		if len(ids) == frame+1 && slices.Contains(ids, id) {
			reached++
		}
	}
	v.check.say("%d tokens; %d of %d words become their own token", v.tokenizer.Len(), reached, words)
	if float64(reached) < leastReached*float64(words) {
		v.check.warn("so many words that do not come out as themselves: the normalizer does not fit the vocabulary")
	}
	return nil
}
