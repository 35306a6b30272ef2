package encoder

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/gguf"
)

// TestFamiliesAreFoundByWhatFilesCallThem: names as converters and uploaders write them.
func TestFamiliesAreFoundByWhatFilesCallThem(t *testing.T) {
	for name, want := range map[string]string{
		"all-MiniLM-L6-v2": "all-minilm-l6-v2", "All MiniLM L6 v2": "all-minilm-l6-v2", "nomic-embed-text-v1.5": "nomic-embed-text-v1.5",
		"nomic-embed-text-v1": "nomic-embed-text-v1", "Nomic Embed Text v1.5 GGUF": "nomic-embed-text-v1.5", "bge-small-en-v1.5": "bge-small-en-v1.5",
		"Multilingual E5 Large Instruct": "multilingual-e5-large-instruct", "multilingual-e5-large": "multilingual-e5", "e5-small-v2": "e5-small-v2",
		"snowflake-arctic-embed-l-v2.0": "snowflake-arctic-embed-l-v2.0", "snowflake-arctic-embed-m-v1.5": "snowflake-arctic-embed-m-v1.5",
		"snowflake-arctic-embed-s": "snowflake-arctic-embed", "mxbai-embed-large-v1": "mxbai-embed-large-v1", "another model": "",
	} {
		f, err := FindFamily(header(t, "bert", func(w *gguf.Writer) { w.Add("general.name", name) }))
		require.NoError(t, err)
		require.Equal(t, want, f.Name, name)
	}
	f, err := FindFamily(header(t, "bert", func(w *gguf.Writer) {
		w.Add("general.name", "Model")
		w.Add("general.basename", "gte-small")
	}))
	require.NoError(t, err)
	require.Equal(t, "gte-small", f.Name)
}

// TestPoolingThatTheFileDoesNotSay is the family's where that is known, else the architecture's; what the file says goes first.
func TestPoolingThatTheFileDoesNotSay(t *testing.T) {
	for _, c := range []struct {
		name string
		said any
		want device.Pooling
	}{
		{"bge-small-en-v1.5", nil, device.PoolCLS}, {"bge-small-en-v1.5", uint32(0), device.PoolCLS}, {"bge-small-en-v1.5", uint32(1), device.PoolMean},
		{"e5-small-v2", nil, device.PoolMean}, {"UAE Large V1", nil, device.PoolCLS}, {"another", uint32(0), device.PoolMean}, {"another", uint32(3), device.PoolLast},
	} {
		config, err := ReadConfig(header(t, "bert", func(w *gguf.Writer) {
			w.Add("general.name", c.name)
			if c.said != nil {
				w.Add("bert.pooling_type", c.said)
			}
		}))
		require.NoError(t, err)
		require.Equal(t, c.want, config.Pooling, "%+v", c)
	}
}

// TestNoFamilyHidesAnother: a row above must not be found in place of one below.
func TestNoFamilyHidesAnother(t *testing.T) {
	for i, f := range families {
		for _, below := range families[i+1:] {
			require.NotContains(t, below.Name, f.Name)
		}
		require.Equal(t, strings.ToLower(f.Name), f.Name)
		for _, p := range f.Prefixes {
			require.NotEmpty(t, p)
		}
	}
}

// familyLine is a row of families as docs/embed.md prints it.
func familyLine(f *Family) string {
	var prefixes, dimensions []string
	for _, task := range slices.Sorted(maps.Keys(f.Prefixes)) {
		prefixes = append(prefixes, fmt.Sprintf("%s `%q`", task, f.Prefixes[task]))
	}
	for _, d := range f.Dimensions {
		dimensions = append(dimensions, fmt.Sprint(d))
	}
	cells := []string{"`" + f.Name + "`", strings.Join(prefixes, ", "), strings.Join(dimensions, ", "), PoolingName(f.Pooling), fmt.Sprint(f.MaxTokens)}
	for i := range cells {
		if cells[i] == "" {
			cells[i] = "–"
		}
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func TestDocumentListsEveryFamily(t *testing.T) {
	document, err := os.ReadFile("../../docs/embed.md")
	require.NoError(t, err)
	table := "| a name that holds | prefix by task | trained dimensions | pooling | tokens |\n|---|---|---|---|---:|\n"
	for i := range families {
		table += familyLine(&families[i])
	}
	require.Contains(t, string(document), table+"\n")
}
