package main

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
)

const bundled = "models/all-MiniLM-L6-v2.Q8_0.gguf"

var specials = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}

const beginsWord = "\u2581"

// readVocabulary is vocab.txt of the bundled model, or a small part of it.
func readVocabulary(small bool) ([]string, error) {
	ledger, err := memory.NewLedger()
	if err != nil {
		return nil, err
	}
	f, err := gguf.Open(bundled, ledger)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, _, err := f.Find("tokenizer.ggml.tokens")
	if err != nil {
		return nil, err
	}
	tokens, err := v.Array()
	if err != nil {
		return nil, err
	}
	var vocabulary []string
	err = tokens.Strings(0, func(_ int64, s []byte) error {
		vocabulary = append(vocabulary, fromGGUF(string(s)))
		return nil
	})
	if small {
		vocabulary = smallPart(vocabulary)
	}
	return vocabulary, err
}

func fromGGUF(token string) string {
	if slices.Contains(specials, token) {
		return token
	}
	if word, found := strings.CutPrefix(token, beginsWord); found {
		return word
	}
	return "##" + token
}

func toGGUF(token string) string {
	if slices.Contains(specials, token) {
		return token
	}
	if tail, found := strings.CutPrefix(token, "##"); found {
		return tail
	}
	return beginsWord + token
}

func all(s string, is func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
}

func ascii(r rune) bool { return r < 128 }

// smallPart: specials, printable ASCII and its "##" forms, 320 words and 80 suffixes in the full vocabulary's
// order, a few characters of other scripts.
func smallPart(full []string) []string {
	const others = "ßàéαβжи中文日本人ᄀᆨ€…"
	var characters, tails, words, suffixes []string
	for _, t := range full {
		tail, continues := strings.CutPrefix(t, "##")
		r, _ := utf8.DecodeRuneInString(t)
		switch {
		case utf8.RuneCountInString(t) == 1 && (r >= 33 && r < 127 || strings.ContainsRune(others, r)):
			characters = append(characters, t)
		case continues && len(t) == 3 && (unicode.IsLetter(rune(t[2])) || unicode.IsDigit(rune(t[2]))) && t[2] < 128:
			tails = append(tails, t)
		case utf8.RuneCountInString(t) > 1 && all(t, ascii) && all(t, unicode.IsLetter):
			words = append(words, t)
		case continues && utf8.RuneCountInString(t) > 3 && all(tail, unicode.IsLetter):
			suffixes = append(suffixes, t)
		}
	}
	return slices.Concat(specials, characters, tails, words[:320], suffixes[:80])
}

func writeVocabulary(w *gguf.Writer, vocabulary []string) {
	tokens, types := make([]string, len(vocabulary)), make([]int32, len(vocabulary))
	for i, t := range vocabulary {
		tokens[i], types[i] = toGGUF(t), 1
		if slices.Contains(specials, t) {
			types[i] = 3
		}
	}
	id := func(t string) uint32 { return uint32(slices.Index(vocabulary, t)) }
	const p = "tokenizer.ggml."
	w.Add(p+"token_type_count", uint32(2))
	w.Add(p+"model", "bert")
	w.Add(p+"pre", "jina-v2-en")
	w.Add(p+"tokens", tokens)
	w.Add(p+"token_type", types)
	w.Add(p+"bos_token_id", id("[CLS]"))
	w.Add(p+"eos_token_id", id("[SEP]"))
	w.Add(p+"unknown_token_id", id("[UNK]"))
	w.Add(p+"seperator_token_id", id("[SEP]"))
	w.Add(p+"padding_token_id", id("[PAD]"))
	w.Add(p+"mask_token_id", id("[MASK]"))
	w.Add(p+"add_bos_token", true)
	w.Add(p+"add_eos_token", true)
	w.Add(p+"add_sep_token", false)
	w.Add(p+"normalizer.lowercase", true)
}
