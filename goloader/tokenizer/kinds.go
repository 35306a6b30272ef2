// Package tokenizer turns text into token ids.
//
//	text ─▶ special tokens cut out ─▶ normalizer (clean, CJK, strip accents, lower) ─▶ added tokens cut out ─▶ words
//	                                                                                                         │
//	ids ◀── [CLS] … [SEP], truncated ◀── longest matches in Vocabulary's hash table ◀────────────────────────┘
//
// A tokenizer is made once per model, while its tokens stream by, and then read by many goroutines; its
// vocabulary lies off the heap. Encode allocates nothing: its caller brings dst and a Scratch.
package tokenizer

import (
	"sync/atomic"

	"gguf-stream/goloader/errs"
)

// Tokenizer is one of the kinds below. Encode may be called from several goroutines.
type Tokenizer interface {
	// Encode appends a text's ids to dst, special tokens added; room for as many as Count says is enough.
	// total is the number of ids before truncation; without CountAll it may be only a number over MaxTokens.
	// ERR_TOO_LONG with Truncate false.
	Encode(dst []uint32, text []byte, o Options, s *Scratch) (ids []uint32, total int, err error)
	Len() int
	// Text is a token as the vocabulary has it.
	Text(id uint32) []byte
	// Word is what a token is as a word by itself; false if it continues one, or is special.
	Word(id uint32) ([]byte, bool)
	Close()
}

// Options of one Encode.
type Options struct {
	MaxTokens    int  // special tokens included; 0: no limit
	Truncate     bool // cut texts over MaxTokens, the end token kept
	ParseSpecial bool // text that spells a special token becomes it
	CountAll     bool // total is exact for truncated texts too

	Cancelled *atomic.Uint32 // may be nil; an Encode that is given up ends soon, with ERR_ABORTED
}

// check refuses a text of so many ids where it may not be cut.
func (o *Options) check(total int) error {
	if o.MaxTokens > 0 && total > o.MaxTokens && !o.Truncate {
		return errs.New(errs.TooLong, "text", "the text has %d tokens; the limit is %d: split it, or allow truncation", total, o.MaxTokens)
	}
	return nil
}

// Count is how many ids Encode would append, without the memory for them.
func Count(t Tokenizer, text []byte, o Options, s *Scratch) (int, error) {
	var ends [2]uint32 // the special tokens round a text
	_, total, err := t.Encode(ends[:0], text, Options{MaxTokens: len(ends), Truncate: true, ParseSpecial: o.ParseSpecial, CountAll: true, Cancelled: o.Cancelled}, s)
	if err == nil {
		err = o.check(total)
	}
	if o.MaxTokens > 0 {
		total = min(total, max(o.MaxTokens, len(ends)))
	}
	return total, err
}

// Config is what a file says of its tokenizer besides the tokens.
type Config struct {
	Lowercase    *bool // nil: by the vocabulary
	StripAccents *bool // nil: as Lowercase
	CLS, SEP     int64
	UNK          int64
}

// The keys of a file that a tokenizer is made from.
const (
	ModelKey  = "tokenizer.ggml.model"
	TokensKey = "tokenizer.ggml.tokens"
	TypesKey  = "tokenizer.ggml.token_type"
)

// kinds is the table: tokenizer.ggml.model → the tokenizer, and the special tokens it has when the file is silent: by
// their texts, else by the ids of llama.cpp's llama-vocab.cpp.
var kinds = []Kind{
	{Name: "bert", cls: usual{"[CLS]", 101}, sep: usual{"[SEP]", 102}, unk: usual{"[UNK]", 100}, build: newWordPiece},
}

// Kind is a row of the table.
type Kind struct {
	Name          string
	cls, sep, unk usual
	build         func(*Vocabulary, Config) (Tokenizer, error)
}

// usual is a special token of most vocabularies of a kind.
type usual struct {
	text string
	id   int64
}

// Defaults is what a file means that says nothing. Converters name no ids where a model has no tokenizer.json, whatever
// the ids in its vocabulary are.
func (k *Kind) Defaults(v *Vocabulary) Config {
	return Config{CLS: v.find(k.cls), SEP: v.find(k.sep), UNK: v.find(k.unk)}
}

// FindKind looks a kind up by tokenizer.ggml.model.
func FindKind(name string) (*Kind, error) {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i], nil
		}
	}
	return nil, errs.New(errs.TokenizerKind, ModelKey, "tokenizer %q is not known here; known: %s", name, kindNames())
}

func kindNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	return names
}

// Build makes the tokenizer of a full vocabulary, which it owns from then on; after an error the caller
// still does.
func (k *Kind) Build(v *Vocabulary, c Config) (Tokenizer, error) {
	if v.added != v.count {
		return nil, errs.New(errs.TokenizerVocab, TokensKey, "%d of %d tokens were read", v.added, v.count)
	}
	return k.build(v, c)
}
