package tokenizer

import (
	"bytes"
	"hash/maphash"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// TokenType is tokenizer.ggml.token_type.
type TokenType uint8

// The token types.
const (
	Normal      TokenType = 1
	Unknown     TokenType = 2
	Control     TokenType = 3
	UserDefined TokenType = 4
	Unused      TokenType = 5
	Byte        TokenType = 6
)

// Vocabulary is all tokens' text, off the heap, with one hash table over the pieces that words are
// made of. It is built while the tokens stream by: Add each, SetType each, then a tokenizer's builder
// marks the pieces and calls index.
type Vocabulary struct {
	ledger  *memory.Ledger
	count   int
	added   int
	ends    []uint32 // [count] where each token's text ends
	types   []TokenType
	text    []byte // room for all tokens
	used    int
	regions [3]*memory.Region // ends+types, text, table
	table   []slot
	seed    uint64
	longest int // bytes of the longest piece
}

// slot of the hash table: 0 in key is free.
type slot struct {
	hash uint32
	key  uint32 // (id+1)<<1 | continuation
}

// VocabularyBytes is what a vocabulary of count tokens, of so many bytes of text together, allocates in all.
func VocabularyBytes(count, text int64) int64 { return count*5 + text + tableSlots(count)*8 }

// tableSlots: a power of two, at most half full.
func tableSlots(count int64) int64 {
	size := int64(2)
	for size < 2*count {
		size *= 2
	}
	return size
}

// NewVocabulary makes room for count tokens of text bytes together.
func NewVocabulary(ledger *memory.Ledger, count, text int64) (*Vocabulary, error) {
	if count < 1 || count > limits.VocabularyTokens || text < 0 || text > limits.HeaderBytes {
		return nil, errs.New(errs.TokenizerVocab, TokensKey, "a vocabulary of %d tokens in %d bytes; 1 to %d tokens are possible", count, text, limits.VocabularyTokens)
	}
	v := &Vocabulary{ledger: ledger, count: int(count), seed: maphash.Bytes(maphash.MakeSeed(), nil) | 1}
	for i, bytes := range []int64{count * 5, text} {
		r, err := ledger.Allocate(memory.Vocab, bytes)
		if err != nil {
			v.Close()
			return nil, err
		}
		v.regions[i] = r
	}
	v.ends, v.types = memory.Slice[uint32](v.regions[0], 0, count), memory.Slice[TokenType](v.regions[0], count*4, count)
	v.text = v.regions[1].Bytes()[:text]
	for i := range v.types {
		v.types[i] = Normal
	}
	return v, nil
}

// Len is the number of tokens.
func (v *Vocabulary) Len() int { return v.count }

// Add appends the next token's text as the file has it.
func (v *Vocabulary) Add(token []byte) error {
	if v.added == v.count || len(token) > limits.TokenBytes || len(token) > len(v.text)-v.used {
		return errs.New(errs.TokenizerVocab, TokensKey, "token %d has %d bytes; at most %d bytes and %d tokens are possible", v.added, len(token), limits.TokenBytes, v.count)
	}
	v.used += copy(v.text[v.used:], token)
	v.ends[v.added] = uint32(v.used)
	v.added++
	return nil
}

// SetType sets token id's type, as the file has it.
func (v *Vocabulary) SetType(id int, t uint64) error {
	if id < 0 || id >= v.count || t < uint64(Normal) || t > uint64(Byte) {
		return errs.New(errs.TokenizerVocab, TypesKey, "token %d has type %d; 1 to 6 are known", id, int64(t))
	}
	v.types[id] = TokenType(t)
	return nil
}

// Text is token id's text as the file has it; valid until Close.
func (v *Vocabulary) Text(id uint32) []byte {
	first := uint32(0)
	if id > 0 {
		first = v.ends[id-1]
	}
	return v.text[first:v.ends[id]]
}

// find is the id of a token, by its text.
func (v *Vocabulary) find(token usual) int64 {
	for id := range uint32(v.added) {
		if string(v.Text(id)) == token.text {
			return int64(id)
		}
	}
	return token.id
}

// Close frees the regions.
func (v *Vocabulary) Close() {
	for i := len(v.regions) - 1; i >= 0; i-- {
		v.regions[i].Free()
	}
	*v = Vocabulary{}
}

// FNV-1a with a seed of the process's own, so that nobody can prepare a vocabulary of collisions.
const fnvPrime = 0x100000001b3

func (v *Vocabulary) start(continuation bool) uint64 {
	h := v.seed
	if continuation {
		h = (h ^ 0xff) * fnvPrime
	}
	return h
}

func step(h uint64, b byte) uint64 { return (h ^ uint64(b)) * fnvPrime }

// mix folds the hash: FNV's low bits alone are weak.
func mix(h uint64) uint32 { return uint32(h>>32) ^ uint32(h) }

// pieceFunc takes a token's text apart: its bytes without the mark, and whether it continues a word.
type pieceFunc func(text []byte) (piece []byte, continuation bool)

// index builds the hash table of all tokens but control and unknown ones, at most half full. Two equal pieces are refused.
func (v *Vocabulary) index(piece pieceFunc) error {
	size := tableSlots(int64(v.count))
	r, err := v.ledger.Allocate(memory.Vocab, size*8)
	if err != nil {
		return err
	}
	v.regions[2], v.table = r, memory.Slice[slot](r, 0, size)
	for id := range uint32(v.count) {
		p, continuation := piece(v.Text(id))
		if t := v.types[id]; t == Control || t == Unknown || len(p) == 0 {
			continue
		}
		h := v.start(continuation)
		for _, b := range p {
			h = step(h, b)
		}
		if other, found := v.lookup(mix(h), p, continuation, piece); found {
			return errs.New(errs.TokenizerVocab, TokensKey, "tokens %d and %d are the same: %q", other, id, v.Text(id))
		}
		v.insert(mix(h), id, continuation)
		v.longest = max(v.longest, len(p))
	}
	return nil
}

func (v *Vocabulary) insert(hash, id uint32, continuation bool) {
	mask := uint32(len(v.table) - 1)
	at := hash & mask
	for v.table[at].key != 0 {
		at = (at + 1) & mask
	}
	key := (id + 1) << 1
	if continuation {
		key |= 1
	}
	v.table[at] = slot{hash, key}
}

// lookup finds a piece by its hash and bytes.
func (v *Vocabulary) lookup(hash uint32, p []byte, continuation bool, piece pieceFunc) (uint32, bool) {
	mask := uint32(len(v.table) - 1)
	want := uint32(0)
	if continuation {
		want = 1
	}
	for at := hash & mask; v.table[at].key != 0; at = (at + 1) & mask {
		s := v.table[at]
		if s.hash != hash || s.key&1 != want {
			continue
		}
		id := s.key>>1 - 1
		if q, _ := piece(v.Text(id)); bytes.Equal(p, q) {
			return id, true
		}
	}
	return 0, false
}
