package encoder

import (
	"strings"

	"gguf-stream/goloader/gguf"
)

// Family is a row of the table of known models: what GGUF files do not say.
type Family struct {
	Name       string            // found in general.name or general.basename, lower case
	Prefixes   map[string]string // task → prefix, exactly
	Dimensions []int             // Matryoshka sizes that the model was trained for
	LayerNorm  bool              // before cutting dimensions
}

const searchPassages = "Represent this sentence for searching relevant passages: "

var nomicPrefixes = map[string]string{"query": "search_query: ", "document": "search_document: ", "clustering": "clustering: ", "classification": "classification: "}

// families is searched from the top; sources: the models' cards as collected by mteb and fastembed.
var families = []Family{
	{Name: "nomic-embed-text-v1.5", Prefixes: nomicPrefixes, Dimensions: []int{768, 512, 256, 128, 64}, LayerNorm: true},
	{Name: "nomic-embed-text-v1", Prefixes: nomicPrefixes},
	{Name: "bge-small-zh-v1.5", Prefixes: map[string]string{"query": "为这个句子生成表示以用于检索相关文章："}},
	{Name: "bge-small-en-v1.5", Prefixes: map[string]string{"query": searchPassages}},
	{Name: "bge-base-en-v1.5", Prefixes: map[string]string{"query": searchPassages}},
	{Name: "bge-large-en-v1.5", Prefixes: map[string]string{"query": searchPassages}},
	{Name: "multilingual-e5", Prefixes: map[string]string{"query": "query: ", "document": "passage: "}},
	{Name: "e5-small-v2", Prefixes: map[string]string{"query": "query: ", "document": "passage: "}},
	{Name: "e5-base-v2", Prefixes: map[string]string{"query": "query: ", "document": "passage: "}},
	{Name: "e5-large-v2", Prefixes: map[string]string{"query": "query: ", "document": "passage: "}},
	{Name: "snowflake-arctic-embed-m-v1.5", Prefixes: map[string]string{"query": searchPassages}, Dimensions: []int{768, 256}},
	{Name: "snowflake-arctic-embed", Prefixes: map[string]string{"query": searchPassages}},
	{Name: "mxbai-embed-large-v1", Prefixes: map[string]string{"query": searchPassages}, Dimensions: []int{1024, 512}},
	{Name: "uae-large-v1", Prefixes: map[string]string{"query": searchPassages}},
}

// FindFamily looks the file's names up. Without a match nothing is added to texts.
func FindFamily(f *gguf.File) (*Family, error) {
	for _, key := range []string{"general.name", "general.basename"} {
		name, err := f.Text(key, "")
		if err != nil {
			return nil, err
		}
		name = strings.ReplaceAll(strings.ToLower(name), " ", "-")
		for i := range families {
			if strings.Contains(name, families[i].Name) {
				return &families[i], nil
			}
		}
	}
	return &Family{}, nil
}
