package tokenizer

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// Hugging Face's BERT normaliser mixes three versions of Unicode, so its character sets were measured
// code point by code point (the heads of the two files say how). They are parsed once, at the first
// character that is not ASCII: about a millisecond.
//
//go:embed bert_unicode.txt
var unicodeText string

//go:embed bert_combining.txt
var combiningText string

// class is a set of the properties below.
type class uint8

const (
	isControl class = 1 << iota // removed by clean_text
	isSpace                     // mapped to U+0020 by clean_text
	isWhite                     // split and dropped by the pre-tokeniser
	isPunct                     // split and kept
	isCJK                       // surrounded by spaces
	isMark                      // removed by strip_accents
	hasStrip                    // strip_accents leaves something else of it
	hasLower                    // has a lower-case form
)

const pageSize = 256

type unicodeTables struct {
	pages     [0x110000 / pageSize]*[pageSize]class
	strip     map[rune][]rune
	lower     map[rune][]rune
	combining map[rune]uint8 // canonical combining class, absent: 0
}

var tables = sync.OnceValue(parseTables)

func (t *unicodeTables) class(r rune) class { return t.pages[r/pageSize][r%pageSize] }

func (t *unicodeTables) mark(lo, hi rune, c class) {
	for r := lo; r <= hi; r++ {
		t.pages[r/pageSize][r%pageSize] |= c
	}
}

var setNames = map[string]class{"control": isControl, "space": isSpace, "white": isWhite, "punct": isPunct, "cjk": isCJK, "mark": isMark}

func parseTables() *unicodeTables {
	t := &unicodeTables{strip: map[rune][]rune{}, lower: map[rune][]rune{}, combining: map[rune]uint8{}}
	for i := range t.pages {
		t.pages[i] = new([pageSize]class)
	}
	eachEntry(unicodeText, func(name, entry string) {
		switch name {
		case "strip":
			t.mapping(t.strip, hasStrip, entry)
		case "lower":
			t.mapping(t.lower, hasLower, entry)
		default:
			lo, hi := span(entry)
			t.mark(lo, hi, setNames[name])
		}
	})
	eachEntry(combiningText, func(name, entry string) {
		n, _ := strconv.Atoi(name)
		lo, hi := span(entry)
		for r := lo; r <= hi; r++ {
			t.combining[r] = uint8(n)
		}
	})
	t.shareEqualPages()
	return t
}

func eachEntry(text string, fn func(name, entry string)) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		for _, entry := range fields[1:] {
			fn(fields[0], entry)
		}
	}
}

func hex(s string) rune {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		panic("tokenizer: character table: " + s)
	}
	return rune(n)
}

// span parses "lo-hi" or "lo".
func span(s string) (lo, hi rune) {
	a, b, found := strings.Cut(s, "-")
	if !found {
		return hex(a), hex(a)
	}
	return hex(a), hex(b)
}

// mapping parses "lo-hi>to", "lo-hi>to+" (one offset), "lo-hi/2>to+" (every second) and "c>a,b".
func (t *unicodeTables) mapping(m map[rune][]rune, c class, entry string) {
	from, to, _ := strings.Cut(entry, ">")
	from, second := strings.CutSuffix(from, "/2")
	to, offset := strings.CutSuffix(to, "+")
	lo, hi := span(from)
	var seq []rune
	for s := range strings.SplitSeq(to, ",") {
		seq = append(seq, hex(s))
	}
	step := rune(1)
	if second {
		step = 2
	}
	for r := lo; r <= hi; r += step {
		image := seq
		if offset {
			image = []rune{seq[0] + r - lo}
		}
		m[r] = image
		t.pages[r/pageSize][r%pageSize] |= c
	}
}

// shareEqualPages keeps one copy of pages that are alike: 1.1 million classes in about 60 KB.
func (t *unicodeTables) shareEqualPages() {
	seen := map[[pageSize]class]*[pageSize]class{}
	for i, p := range t.pages {
		if q, ok := seen[*p]; ok {
			t.pages[i] = q
		} else {
			seen[*p] = p
		}
	}
}

// ASCII needs no tables.
const asciiLimit = 0x80

var asciiClass = func() (c [asciiLimit]class) {
	for b := range c {
		switch {
		case b == '\t' || b == '\n' || b == '\r' || b == ' ':
			c[b] = isSpace
		case b < 0x20 || b == 0x7f:
			c[b] = isControl
		case b >= 'A' && b <= 'Z':
			c[b] = hasLower
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z':
		default:
			c[b] = isPunct
		}
	}
	return c
}()
