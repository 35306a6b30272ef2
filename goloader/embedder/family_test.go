package embedder

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/test/hostile"
)

func named(t *testing.T, r *Runtime, arch, name string) *Embedder {
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, hostile.Named(arch, name), 0o600))
	return open(t, r, path, device.Exact)
}

// TestMatryoshkaOfNomic: the recipe of nomic-embed-text-v1.5 (layer norm over the whole pooled vector, cut, L2), computed
// here from the raw vector; a model of no known family is cut without the layer norm.
func TestMatryoshkaOfNomic(t *testing.T) {
	r := newRuntime(t, Settings{})
	no := false
	text := [][]byte{[]byte("hello world a b c")}
	for name, layerNorm := range map[string]bool{"nomic-embed-text-v1.5": true, "nomic-embed-text-v1": false, "another": false} {
		e := named(t, r, "nomic-bert", name)
		raw := embed(t, e, text, CallOptions{Normalize: &no})
		mean, variance := 0.0, 0.0
		for _, x := range raw {
			mean += float64(x) / 64
		}
		for _, x := range raw {
			variance += (float64(x) - mean) * (float64(x) - mean) / 64
		}
		want, norm := make([]float64, 24), 0.0
		for i := range want {
			want[i] = float64(raw[i])
			if layerNorm {
				want[i] = (want[i] - mean) / math.Sqrt(variance+1e-5)
			}
			norm += want[i] * want[i]
		}
		got := embed(t, e, text, CallOptions{Dimensions: 24})
		require.Len(t, got, 24)
		for i, x := range got {
			require.InDelta(t, want[i]/math.Sqrt(norm), float64(x), 1e-6, "%s [%d]", name, i)
		}
		e.Close()
	}
}

// TestTasksAddTheFamilysPrefix: exactly the table's, the blank at the end included; the option prefix wins.
func TestTasksAddTheFamilysPrefix(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := named(t, r, "nomic-bert", "nomic-embed-text-v1.5")
	defer e.Close()
	one := func(text string, o CallOptions) []float32 { return embed(t, e, [][]byte{[]byte(text)}, o) }
	tokens := func(text string, o CallOptions) []uint32 {
		ids, _, err := e.Tokenize([][]byte{[]byte(text)}, o, nil, onHeap)
		require.NoError(t, err)
		return ids
	}
	for task, prefix := range map[string]string{"query": "search_query: ", "document": "search_document: ", "clustering": "clustering: ", "classification": "classification: "} {
		require.Equal(t, prefix, e.Info().Prefixes[task])
		require.Equal(t, one(prefix+"hello", CallOptions{}), one("hello", CallOptions{Task: task}))
		require.Equal(t, tokens(prefix+"hello", CallOptions{}), tokens("hello", CallOptions{Task: task}))
	}
	own := "a "
	require.Equal(t, one("a hello", CallOptions{}), one("hello", CallOptions{Task: "query", Prefix: &own}))
	require.NotEqual(t, one("a hello", CallOptions{}), one("hello", CallOptions{}))
	plain := named(t, r, "nomic-bert", "another")
	defer plain.Close()
	require.Equal(t, embed(t, plain, [][]byte{[]byte("hello")}, CallOptions{}), embed(t, plain, [][]byte{[]byte("hello")}, CallOptions{Task: "query"}))
}

// TestTokenizeFillsTheCallersMemory: texts of unknown words, each of which begins with known pieces.
func TestTokenizeFillsTheCallersMemory(t *testing.T) {
	e := open(t, newRuntime(t, Settings{}), bundled, device.Exact)
	defer e.Close()
	var buffer []uint32
	_, counts, err := e.Tokenize([][]byte{[]byte("tokenization🦄"), []byte("hello"), []byte("xqzxqz🦄")}, CallOptions{}, nil, func(n int64) ([]uint32, error) {
		buffer = make([]uint32, n)
		return buffer, nil
	})
	require.NoError(t, err)
	require.Equal(t, []int{3, 3, 3}, counts)
	require.Equal(t, []uint32{101, 100, 102, 101, 7592, 102, 101, 100, 102}, buffer)
}

// TestPoolingOfTheOption: mean's file under another pooling is that pooling's golden (the same weights).
func TestPoolingOfTheOption(t *testing.T) {
	r := newRuntime(t, Settings{})
	texts := goldenTexts(t, "texts.jsonl")
	for _, pooling := range []string{"mean", "cls", "last"} {
		for _, kind := range []struct {
			name       string
			dimensions int
		}{{"bert-tiny-", 64}, {"nomic-tiny-", 96}} {
			e, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: made + kind.name + "mean.gguf"}, Pooling: pooling}, nil, nil)
			require.NoError(t, err)
			require.Equal(t, pooling, e.Info().Pooling)
			require.LessOrEqual(t, worst(t, embed(t, e, texts, CallOptions{}), goldenVectors(t, kind.name+pooling+".ref.f32"), kind.dimensions), 1e-6)
			e.Close()
		}
	}
}

// TestPoolingThatTheFileDoesNotSay: the vectors, info.pooling and verify go by the family's.
func TestPoolingThatTheFileDoesNotSay(t *testing.T) {
	const key = "bert.pooling_type"
	data := hostile.Named("bert", "bge-small-en-v1.5")
	binary.LittleEndian.PutUint32(data[bytes.Index(data, []byte(key))+len(key)+4:], uint32(device.PoolNone))
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, checks := verify(t, path)
	require.Equal(t, Warning, checks["metadata"].Status)
	require.Contains(t, strings.Join(checks["metadata"].Detail, "\n"), "does not say its pooling; cls is taken")
	r, texts := newRuntime(t, Settings{}), [][]byte{[]byte("hello world")}
	e := open(t, r, path, device.Exact)
	defer e.Close()
	require.Equal(t, "cls", e.Info().Pooling)
	cls, err := r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}, Pooling: "cls"}, nil, nil)
	require.NoError(t, err)
	defer cls.Close()
	require.Equal(t, embed(t, cls, texts, CallOptions{}), embed(t, e, texts, CallOptions{}))
}

// TestTokenTypesMayBeAbsent: a file without them has the vectors of one whose token types are zeros.
func TestTokenTypesMayBeAbsent(t *testing.T) {
	r, dir := newRuntime(t, Settings{}), t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	zeros := hostile.Tiny()
	f, err := r.OpenFile(file("tiny.gguf", zeros))
	require.NoError(t, err)
	info, found := f.file.FindTensor("token_types.weight")
	f.Close()
	require.True(t, found)
	clear(zeros[info.Offset:][:info.Bytes])
	for precision, name := range precisionNames {
		a, b := open(t, r, file("zeros.gguf", zeros), precision), open(t, r, file("absent.gguf", hostile.WithoutTokenTypes()), precision)
		texts := [][]byte{[]byte("hello world a b c"), []byte("d")}
		require.Equal(t, embed(t, a, texts, CallOptions{}), embed(t, b, texts, CallOptions{}), name)
		a.Close()
		b.Close()
	}
}

// TestSpecialTokensThatTheFileDoesNotName are found by their texts: ids 1 to 3 here, not 100 to 102.
func TestSpecialTokensThatTheFileDoesNotName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, bytes.ReplaceAll(hostile.Tiny(), []byte("_token_id"), []byte("_other_id")), 0o600))
	e := open(t, newRuntime(t, Settings{}), path, device.Exact)
	defer e.Close()
	ids, _, err := e.Tokenize([][]byte{[]byte("hello x")}, CallOptions{}, nil, onHeap)
	require.NoError(t, err)
	require.Equal(t, []uint32{2, 5, 1, 3}, ids)
}

// TestAnotherTokenizerIsRefusedByThePlan, before any weights are read: bge-m3 is "bert" with a tokenizer called "t5".
func TestAnotherTokenizerIsRefusedByThePlan(t *testing.T) {
	const key, name = "tokenizer.ggml.model", "bert"
	data := hostile.Named("bert", "bge-m3")
	at := bytes.Index(data, []byte(key)) + len(key) + 4 + 8
	require.Equal(t, name, string(data[at:][:len(name)]))
	copy(data[at:], "t5-x")
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	r := newRuntime(t, Settings{})
	refused := func(err error) {
		require.ErrorContains(t, err, `tokenizer "t5-x" is not known here; known: [bert]`)
		require.Equal(t, errs.TokenizerKind, errs.From(err).Code)
	}
	f, err := r.OpenFile(path)
	require.NoError(t, err)
	_, err = f.Plan(device.Exact)
	f.Close()
	refused(err)
	_, err = r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path}}, nil, func(int64, int64, string) { t.Error("weights are read") })
	refused(err)
	_, checks := verify(t, path)
	require.Equal(t, errs.TokenizerKind, checks["tokenizer"].Code)
	require.Equal(t, Good, checks["architecture"].Status)
}

// TestTheVocabularyIsPlanned: to the byte, before anything is allocated.
func TestTheVocabularyIsPlanned(t *testing.T) {
	r := newRuntime(t, Settings{})
	for _, path := range []string{bundled, made + "nomic-tiny-mean.gguf", made + "nomic-synthetic.Q8_0.gguf", tinyFile(t)} {
		f, err := r.OpenFile(path)
		require.NoError(t, err)
		plan, err := f.Plan(device.Exact)
		require.NoError(t, err)
		f.Close()
		e := open(t, r, path, device.Exact)
		require.Equal(t, plan.Vocab, r.ledger.Bytes(memory.Vocab), path)
		require.LessOrEqual(t, r.ledger.Total(), plan.Total, "%s: rotary tables among it", path)
		e.Close()
		_, err = r.Open(OpenOptions{LoadOptions: LoadOptions{Path: path, MemoryLimit: plan.Total - 1}}, nil, nil)
		require.Equal(t, errs.MemoryLimit, errs.From(err).Code)
	}
}
