package embedder

import (
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/tokenizer"
)

// vocabularyBytes is what the file's vocabulary will take; 0 without one.
func vocabularyBytes(f *gguf.File) (int64, error) {
	_, found, err := f.Find(tokenizer.TokensKey)
	if err != nil || !found {
		return 0, err
	}
	tokens, err := arrayOf(f, tokenizer.TokensKey)
	if err != nil {
		return 0, err
	}
	text, err := textBytes(tokens)
	return tokenizer.VocabularyBytes(tokens.Len, text), err
}

// textBytes adds up the tokens' lengths.
func textBytes(tokens gguf.ArrayView) (n int64, err error) {
	err = tokens.Strings(0, func(_ int64, s []byte) error { n += int64(len(s)); return nil })
	return n, err
}

func tokenizerKind(f *gguf.File) (*tokenizer.Kind, error) {
	name, err := f.Text(tokenizer.ModelKey, "")
	if err != nil {
		return nil, err
	}
	return tokenizer.FindKind(name)
}

func loadTokenizer(f *gguf.File, ledger *memory.Ledger) (tokenizer.Tokenizer, error) {
	kind, err := tokenizerKind(f)
	if err != nil {
		return nil, err
	}
	v, err := loadVocabulary(f, ledger)
	if err != nil {
		return nil, err
	}
	t, err := buildTokenizer(f, kind, v)
	if err != nil {
		v.Close()
		return nil, err
	}
	return t, nil
}

func buildTokenizer(f *gguf.File, kind *tokenizer.Kind, v *tokenizer.Vocabulary) (tokenizer.Tokenizer, error) {
	config, err := tokenizerConfig(f, kind.Defaults(v))
	if err != nil {
		return nil, err
	}
	return kind.Build(v, config)
}

// checkRows refuses a vocabulary with tokens that the model has no row for.
func checkRows(t tokenizer.Tokenizer, l *encoder.Layout) error {
	if n := t.Len(); n > l.Vocabulary {
		return errs.New(errs.TokenizerVocab, tokenizer.TokensKey, "%d tokens, but token_embd has only %d rows", n, l.Vocabulary)
	}
	return nil
}

func tokenizerConfig(f *gguf.File, c tokenizer.Config) (tokenizer.Config, error) {
	const prefix = "tokenizer.ggml."
	for _, k := range []struct {
		to   *int64
		keys []string // the first that the file has
	}{{&c.CLS, []string{"cls_token_id", "bos_token_id"}}, {&c.SEP, []string{"seperator_token_id", "eos_token_id"}}, {&c.UNK, []string{"unknown_token_id"}}} {
		for i := len(k.keys) - 1; i >= 0; i-- {
			id, err := f.Uint(prefix+k.keys[i], uint64(*k.to))
			if err != nil {
				return c, err
			}
			*k.to = int64(min(id, 1<<40))
		}
	}
	var err error
	if c.Lowercase, err = f.Flag(prefix + "normalizer.lowercase"); err != nil {
		return c, err
	}
	c.StripAccents, err = f.Flag(prefix + "normalizer.strip_accents")
	return c, err
}

func loadVocabulary(f *gguf.File, ledger *memory.Ledger) (*tokenizer.Vocabulary, error) {
	tokens, err := arrayOf(f, tokenizer.TokensKey)
	if err != nil {
		return nil, err
	}
	text, err := textBytes(tokens)
	if err != nil {
		return nil, err
	}
	v, err := tokenizer.NewVocabulary(ledger, tokens.Len, text)
	if err != nil {
		return nil, err
	}
	if err := fillVocabulary(v, f, tokens); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func fillVocabulary(v *tokenizer.Vocabulary, f *gguf.File, tokens gguf.ArrayView) error {
	if err := tokens.Strings(0, func(_ int64, s []byte) error { return v.Add(s) }); err != nil {
		return err
	}
	types, err := arrayOf(f, tokenizer.TypesKey)
	if err != nil {
		return err
	}
	if types.Len != tokens.Len {
		return errs.New(errs.TokenizerVocab, tokenizer.TypesKey, "%d token types for %d tokens", types.Len, tokens.Len)
	}
	return types.Numbers(0, func(i int64, bits uint64) error { return v.SetType(int(i), bits) })
}

func arrayOf(f *gguf.File, key string) (gguf.ArrayView, error) {
	v, found, err := f.Find(key)
	if err != nil {
		return gguf.ArrayView{}, err
	}
	if !found {
		return gguf.ArrayView{}, errs.New(errs.ModelKey, key, "the file has no %s", key)
	}
	return v.Array()
}
