package encoder

import (
	"strings"

	"gguf-stream/device"
	"gguf-stream/goloader/gguf"
)

// Family is a row of the table of known models: what GGUF files do not say, and what they may say wrongly.
type Family struct {
	Name       string            // found in general.name or general.basename, lower case
	Prefixes   map[string]string // task → prefix, exactly
	Dimensions []int             // Matryoshka sizes that the model was trained for
	LayerNorm  bool              // before cutting dimensions
	Pooling    device.Pooling    // PoolNone: not known
	MaxTokens  int               // as the model is used in sentence-transformers; 0: not known
}

const searchPassages = "Represent this sentence for searching relevant passages: "

var (
	nomicPrefixes  = map[string]string{"query": "search_query: ", "document": "search_document: ", "clustering": "clustering: ", "classification": "classification: "}
	e5Prefixes     = map[string]string{"query": "query: ", "document": "passage: "}
	searchPrefixes = map[string]string{"query": searchPassages}
	noPrefixes     map[string]string
)

// families is searched from the top, so a longer name stands above one that it holds; sources: the models' cards as
// collected by mteb and fastembed.
var families = []Family{
	{"all-minilm-l6-v2", noPrefixes, nil, false, device.PoolMean, 256},
	{"all-minilm-l12-v2", noPrefixes, nil, false, device.PoolMean, 256},
	{"nomic-embed-text-v1.5", nomicPrefixes, []int{768, 512, 256, 128, 64}, true, device.PoolMean, 8192},
	{"nomic-embed-text-v1", nomicPrefixes, nil, false, device.PoolMean, 8192},
	{"bge-small-zh-v1.5", map[string]string{"query": "为这个句子生成表示以用于检索相关文章："}, nil, false, device.PoolCLS, 512},
	{"bge-small-en-v1.5", searchPrefixes, nil, false, device.PoolCLS, 512},
	{"bge-base-en-v1.5", searchPrefixes, nil, false, device.PoolCLS, 512},
	{"bge-large-en-v1.5", searchPrefixes, nil, false, device.PoolCLS, 512},
	{"multilingual-e5-large-instruct", noPrefixes, nil, false, device.PoolMean, 512}, // its query prefix holds a task's words: the caller's
	{"multilingual-e5", e5Prefixes, nil, false, device.PoolMean, 512},
	{"e5-small-v2", e5Prefixes, nil, false, device.PoolMean, 512},
	{"e5-base-v2", e5Prefixes, nil, false, device.PoolMean, 512},
	{"e5-large-v2", e5Prefixes, nil, false, device.PoolMean, 512},
	{"snowflake-arctic-embed-l-v2.0", map[string]string{"query": "query: "}, []int{1024, 256}, false, device.PoolCLS, 8192},
	{"snowflake-arctic-embed-m-v1.5", searchPrefixes, []int{768, 256}, false, device.PoolCLS, 512},
	{"snowflake-arctic-embed-m-long", searchPrefixes, nil, false, device.PoolCLS, 2048},
	{"snowflake-arctic-embed", searchPrefixes, nil, false, device.PoolCLS, 512},
	{"mxbai-embed-large-v1", searchPrefixes, []int{1024, 512}, false, device.PoolCLS, 512},
	{"uae-large-v1", searchPrefixes, nil, false, device.PoolCLS, 512},
	{"gte-small", noPrefixes, nil, false, device.PoolMean, 512},
	{"gte-base", noPrefixes, nil, false, device.PoolMean, 512},
	{"gte-large", noPrefixes, nil, false, device.PoolMean, 512},
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
