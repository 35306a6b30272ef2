package tokenizer

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// wordPiece is BERT's tokenizer, equal to Hugging Face's on every string (not to llama.cpp's, which
// differs in accents, Hangul, long words and control characters).
type wordPiece struct {
	vocab        *Vocabulary
	specials     *specials // found in the text as it is
	added        *specials // found in the normalised text
	marked       bool      // phantomSpace begins a word; else ## continues one
	piece        pieceFunc
	lowercase    bool
	stripAccents bool
	cls, sep     uint32
	unk          uint32
}

// phantomSpace marks pieces that begin a word in files of llama.cpp's converter.
var phantomSpace = []byte("\u2581")

var continuationMark = []byte("##")

// markedPiece reads the phantom-space convention: U+2581 begins a word, no mark continues one.
func markedPiece(text []byte) ([]byte, bool) {
	p, initial := bytes.CutPrefix(text, phantomSpace)
	return p, !initial
}

// plainPiece reads vocab.txt's convention: ## continues a word.
func plainPiece(text []byte) ([]byte, bool) {
	if len(text) > len(continuationMark) {
		return bytes.CutPrefix(text, continuationMark)
	}
	return text, false
}

func newWordPiece(v *Vocabulary, c Config) (Tokenizer, error) {
	t := &wordPiece{vocab: v}
	if err := t.chooseConvention(); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		to *uint32
		id int64
	}{{&t.cls, c.CLS}, {&t.sep, c.SEP}, {&t.unk, c.UNK}} {
		if s.id < 0 || s.id >= int64(v.count) {
			return nil, errs.New(errs.TokenizerVocab, TokensKey, "special token id %d is outside the vocabulary of %d", s.id, v.count)
		}
		*s.to = uint32(s.id)
	}
	t.lowercase = c.Lowercase == nil && !t.cased() || c.Lowercase != nil && *c.Lowercase
	t.stripAccents = t.lowercase
	if c.StripAccents != nil {
		t.stripAccents = *c.StripAccents
	}
	var err error
	if t.specials, err = newSpecials(v, v.Text, Control, Unknown); err != nil {
		return nil, err
	}
	s := new(Scratch)
	if t.added, err = newSpecials(v, func(id uint32) []byte { return t.normalized(id, s) }, UserDefined); err != nil {
		return nil, err
	}
	return t, v.index(t.piece)
}

// normalized is a user-defined token as normalised texts spell it, which is how Hugging Face finds the tokens that
// add_tokens makes; converters mark them as they mark words.
func (t *wordPiece) normalized(id uint32, s *Scratch) []byte {
	text := t.vocab.Text(id)
	if t.marked {
		text = bytes.TrimPrefix(text, phantomSpace)
	}
	n := normalizer{lowercase: t.lowercase, stripAccents: t.stripAccents, s: s, pends: true}
	n.run(text)
	if bytes.Equal(s.pending, text) {
		return text // off the heap
	}
	return bytes.Clone(s.pending)
}

// chooseConvention counts both kinds of marks: the larger count decides. A vocabulary with both or
// neither is refused, since every word would come out wrong.
func (t *wordPiece) chooseConvention() error {
	v := t.vocab
	marked, plain := 0, 0
	for id := range uint32(v.count) {
		text := v.Text(id)
		if bytes.HasPrefix(text, phantomSpace) {
			marked++
		} else if len(text) > 2 && bytes.HasPrefix(text, continuationMark) {
			plain++
		}
	}
	if marked == plain || min(marked, plain)*4 > max(marked, plain) {
		return errs.New(errs.TokenizerVocab, TokensKey, "%d tokens begin with U+2581 and %d with ##: neither convention of WordPiece", marked, plain)
	}
	t.marked, t.piece = marked > plain, plainPiece
	if t.marked {
		t.piece = markedPiece
	}
	return nil
}

// cased says whether any piece that begins a word holds an ASCII capital. "[unused0]", "<S>" and their like are
// normal tokens that no word can become: punctuation is a word of its own.
func (t *wordPiece) cased() bool {
	for id := range uint32(t.vocab.count) {
		p, continuation := t.piece(t.vocab.Text(id))
		if !continuation && t.vocab.types[id] == Normal && !bytes.ContainsFunc(p, inNoWord) && bytes.ContainsAny(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return true
		}
	}
	return false
}

func inNoWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

func (t *wordPiece) Len() int              { return t.vocab.count }
func (t *wordPiece) Text(id uint32) []byte { return t.vocab.Text(id) }
func (t *wordPiece) Close()                { t.vocab.Close() }

// Word implements Tokenizer. What stands in brackets is special or unused, whatever type a file gives it.
func (t *wordPiece) Word(id uint32) ([]byte, bool) {
	word, continuation := t.piece(t.vocab.Text(id))
	return word, !continuation && len(word) > 0 && word[0] != '['
}

// Encode implements Tokenizer.
func (t *wordPiece) Encode(dst []uint32, text []byte, o Options, s *Scratch) ([]uint32, int, error) {
	e := encoding{wordPiece: t, s: s, dst: append(dst, t.cls), room: -1}
	if o.MaxTokens > 0 {
		e.room = max(o.MaxTokens-2, 0)
	}
	e.countAll = o.CountAll || !o.Truncate
	e.n = normalizer{lowercase: t.lowercase, stripAccents: t.stripAccents, s: s, word: e.addWord, cancelled: o.Cancelled}
	if o.ParseSpecial && len(t.added.list) > 0 {
		e.n.pends, e.n.added, e.n.token = true, t.added, e.add
	}
	for len(text) > 0 && !e.n.stopped {
		at, id, size := len(text), uint32(0), 0
		if o.ParseSpecial {
			at, id, size = t.specials.next(text)
		}
		e.n.run(text[:at])
		if size > 0 && !e.n.stopped {
			e.n.stopped = !e.add(id)
		}
		text = text[at+size:]
	}
	if errs.GaveUp(o.Cancelled) {
		return dst, 0, errs.Cancelled("")
	}
	total := e.total + 2
	if err := o.check(total); err != nil {
		return dst, total, err
	}
	return append(e.dst, t.sep), total, nil
}

// encoding is one Encode under way.
type encoding struct {
	*wordPiece
	n        normalizer
	s        *Scratch
	dst      []uint32
	room     int // ids that fit between [CLS] and [SEP], -1: any
	total    int // ids so far, without [CLS] and [SEP]
	countAll bool
}

// add appends an id if there is room; false when nothing more needs to be looked at.
func (e *encoding) add(id uint32) bool {
	e.total++
	if e.room < 0 || e.total <= e.room {
		e.dst = append(e.dst, id)
		return true
	}
	return e.countAll
}

// addWord adds the word in e.s once all of it has matched, so that dst never holds more than the ids it ends with.
func (e *encoding) addWord() bool {
	n := e.split()
	if n == 0 {
		return e.add(e.unk)
	}
	for _, id := range e.s.pieces[:n] {
		if !e.add(id) {
			return false
		}
	}
	return true
}

// split takes the word in e.s into e.s.pieces, greedily from the left: how many there are, 0 if a part matches
// nothing or the word is too long.
func (e *encoding) split() (n int) {
	if e.s.characters > limits.WordCharacters {
		return 0
	}
	word := e.s.word[:e.s.bytes]
	for start := 0; start < len(word); n++ {
		id, size := e.longest(word[start:], start > 0)
		if size == 0 {
			return 0
		}
		e.s.pieces[n] = id
		start += size
	}
	return n
}

// longest finds the longest piece that word begins with: the hashes of all its prefixes are taken in
// one pass, then looked up from the longest down.
func (e *encoding) longest(word []byte, continuation bool) (id uint32, size int) {
	h, n := e.vocab.start(continuation), 0
	for i := 0; i < len(word) && i < e.vocab.longest; {
		end := i + 1
		h = step(h, word[i])
		for end < len(word) && !utf8.RuneStart(word[end]) {
			h = step(h, word[end])
			end++
		}
		i = end
		e.s.ends[n], e.s.hashes[n] = uint16(i), h
		n++
	}
	for n--; n >= 0; n-- {
		end := int(e.s.ends[n])
		if id, ok := e.vocab.lookup(mix(e.s.hashes[n]), word[:end], continuation, e.piece); ok {
			return id, end
		}
	}
	return 0, 0
}
