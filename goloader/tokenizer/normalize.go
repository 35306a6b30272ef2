package tokenizer

import (
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// wordBytes is room for a word of limits.WordCharacters characters and the one that makes it too long.
const wordBytes = (limits.WordCharacters + 1) * utf8.UTFMax

// Scratch is what Encode works in; one at a time may use it. Its zero value is ready.
type Scratch struct {
	word       [wordBytes]byte
	bytes      int // of the word
	characters int // of the word; beyond limits.WordCharacters only counted
	marks      []markedRune
	pending    []byte // normalised, not yet split
	ends       [limits.WordCharacters + 1]uint16
	hashes     [limits.WordCharacters + 1]uint64
	pieces     [limits.WordCharacters]uint32 // of the word, each of a character at least
}

type markedRune struct {
	r     rune
	class uint8
}

// normalizer is Hugging Face's BertNormalizer and BertPreTokenizer in their exact order, one character at
// a time: clean_text, handle_chinese_chars, strip_accents, lowercase, split (tokenizers 0.23,
// normalizers/bert.rs and pre_tokenizers/bert.rs). word is called for each word in s.word.
type normalizer struct {
	lowercase, stripAccents bool
	s                       *Scratch
	word                    func() bool // false: stop
	stopped                 bool
	cancelled               *atomic.Uint32 // as Options

	pends bool                 // characters go through s.pending, where added is looked for
	added *specials            // nil: s.pending is the result
	token func(id uint32) bool // called for each of added; false: stop
}

// lookBytes of text are gone through between two looks whether anybody still waits for it: a millisecond or less.
const lookBytes = 1 << 16

// run normalises text and ends the last word.
func (n *normalizer) run(text []byte) {
	look := 0
	n.s.pending = n.s.pending[:0]
	for i := 0; i < len(text) && !n.stopped; {
		if i >= look {
			n.stopped = errs.GaveUp(n.cancelled)
			look = i + lookBytes
		}
		if b := text[i]; b < asciiLimit && !n.pends {
			n.ascii(b)
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:]) // bytes that are no UTF-8 become U+FFFD, which is a control
		n.clean(r)
		i += size
	}
	n.flushMarks()
	n.match(false)
	n.endWord()
}

func (n *normalizer) ascii(b byte) {
	c := asciiClass[b]
	switch {
	case c == isControl:
		return
	case len(n.s.marks) > 0:
		n.flushMarks()
	}
	switch c {
	case isSpace:
		n.endWord()
	case isPunct:
		n.endWord()
		n.append(rune(b))
		n.endWord()
	case hasLower:
		if n.lowercase {
			b += 'a' - 'A'
		}
		fallthrough
	default:
		n.append(rune(b))
	}
}

func (n *normalizer) clean(r rune) {
	c := tables().class(r)
	switch {
	case c&isControl != 0:
	case c&isSpace != 0:
		n.strip(' ', 0)
	case c&isCJK != 0:
		n.strip(' ', 0)
		n.strip(r, c)
		n.strip(' ', 0)
	default:
		n.strip(r, c)
	}
}

// Hangul syllables decompose by arithmetic (Unicode, section 3.12).
const (
	hangulFirst, hangulLast = 0xAC00, 0xD7A3
	jamoL, jamoV, jamoT     = 0x1100, 0x1161, 0x11A7
	jamoVCount, jamoTCount  = 21, 28
)

// strip decomposes, orders runs of marks by class and drops the marks of the table. A dropped mark of
// class 0 still ends a run.
func (n *normalizer) strip(r rune, c class) {
	if !n.stripAccents {
		n.lower(r)
		return
	}
	switch {
	case r >= hangulFirst && r <= hangulLast:
		i := r - hangulFirst
		n.order(jamoL + i/(jamoVCount*jamoTCount))
		n.order(jamoV + i%(jamoVCount*jamoTCount)/jamoTCount)
		if t := i % jamoTCount; t > 0 {
			n.order(jamoT + t)
		}
	case c&isMark != 0:
		if tables().combining[r] == 0 {
			n.flushMarks()
		}
	case c&hasStrip != 0:
		for _, x := range tables().strip[r] {
			n.order(x)
		}
	default:
		n.order(r)
	}
}

func (n *normalizer) order(r rune) {
	if k := uint8(0); r >= asciiLimit {
		if k = tables().combining[r]; k > 0 {
			n.s.marks = append(n.s.marks, markedRune{r, k})
			return
		}
	}
	n.flushMarks()
	n.lower(r)
}

func (n *normalizer) flushMarks() {
	if len(n.s.marks) == 0 {
		return
	}
	slices.SortStableFunc(n.s.marks, func(a, b markedRune) int { return int(a.class) - int(b.class) })
	for _, m := range n.s.marks {
		n.lower(m.r)
	}
	n.s.marks = n.s.marks[:0]
}

func (n *normalizer) lower(r rune) {
	if n.lowercase {
		if r < asciiLimit {
			if asciiClass[r] == hasLower {
				r += 'a' - 'A'
			}
		} else if tables().class(r)&hasLower != 0 {
			for _, x := range tables().lower[r] {
				n.normal(x)
			}
			return
		}
	}
	n.normal(r)
}

// normal takes a character of the normalised text.
func (n *normalizer) normal(r rune) {
	if !n.pends {
		n.split(r)
		return
	}
	n.s.pending = utf8.AppendRune(n.s.pending, r)
	n.match(true)
}

// match takes added tokens out of what is pending, and splits the rest; with more to come it waits where that could
// make a longer token.
func (n *normalizer) match(more bool) {
	for len(n.s.pending) > 0 && n.added != nil && !n.stopped {
		id, size, open := n.added.longest(n.s.pending)
		if open && more {
			return
		}
		if size == 0 {
			r, width := utf8.DecodeRune(n.s.pending)
			n.split(r)
			size = width
		} else if n.endWord(); !n.stopped {
			n.stopped = !n.token(id)
		}
		n.s.pending = append(n.s.pending[:0], n.s.pending[size:]...)
	}
}

// split is the pre-tokeniser: white space ends a word, punctuation is a word of its own.
func (n *normalizer) split(r rune) {
	c := class(0)
	if r < asciiLimit {
		c = asciiClass[r]
		if c == isSpace {
			c = isWhite
		}
	} else {
		c = tables().class(r)
	}
	switch {
	case c&isWhite != 0:
		n.endWord()
	case c&isPunct != 0:
		n.endWord()
		n.append(r)
		n.endWord()
	default:
		n.append(r)
	}
}

func (n *normalizer) append(r rune) {
	if n.s.characters <= limits.WordCharacters {
		n.s.bytes += utf8.EncodeRune(n.s.word[n.s.bytes:], r)
	}
	n.s.characters++
}

func (n *normalizer) endWord() {
	if n.s.characters > 0 && !n.stopped {
		n.stopped = !n.word()
	}
	n.s.bytes, n.s.characters = 0, 0
}
