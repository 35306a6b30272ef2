package embedder

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/test/hostile"
)

// TestReferencesAreTheGoldens: ids and vectors of references.json are those of test/golden, text by text.
func TestReferencesAreTheGoldens(t *testing.T) {
	f, err := os.Open(goldens + "texts.jsonl")
	require.NoError(t, err)
	defer f.Close()
	type golden struct {
		Text string
		IDs  []uint32
	}
	vectors := goldenVectors(t, "all-MiniLM-L6-v2.ref.f32")
	want, rows := map[string]golden{}, map[string][]float32{}
	for s, i := bufio.NewScanner(f), 0; s.Scan(); i++ {
		var g golden
		require.NoError(t, json.Unmarshal(s.Bytes(), &g))
		want[g.Text], rows[g.Text] = g, vectors[i*384:][:384]
	}
	require.Len(t, references(), 1)
	for _, r := range references()[0].Texts {
		require.Equal(t, want[r.Text].IDs, r.IDs)
		require.Equal(t, rows[r.Text], r.vector())
	}
	require.Len(t, references()[0].Texts, 8)
}

func verify(t *testing.T, path string) (*Report, map[string]Check) {
	r := newRuntime(t, Settings{})
	report, err := r.Verify(path, nil)
	require.NoError(t, err)
	checks := map[string]Check{}
	for _, c := range report.Checks {
		checks[c.Name] = c
	}
	require.Len(t, checks, len(steps))
	require.Zero(t, r.ledger.Total())
	return report, checks
}

func TestGoodModelsVerify(t *testing.T) {
	for _, path := range []string{bundled, "../../test/golden/all-MiniLM-L6-v2.Q4_K_M.gguf", made + "bert-tiny-mean.gguf", made + "nomic-tiny-cls.gguf"} {
		report, checks := verify(t, path)
		require.Equal(t, Good, report.Verdict, "%s: %+v", path, report)
		for name, c := range checks {
			require.Equal(t, Good, c.Status, name)
		}
		said := strings.Join(checks["vectors"].Detail, "\n")
		if strings.Contains(path, "MiniLM") {
			require.Contains(t, said, "8 reference texts: the same ids")
		} else {
			require.Contains(t, said, "no reference vectors")
		}
	}
}

// damaged is the bundled model after a change.
func damaged(t *testing.T, change func(data []byte)) string {
	data, err := os.ReadFile(bundled)
	require.NoError(t, err)
	change(data)
	path := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func tensorBytes(t *testing.T, data []byte, name string) []byte {
	f, err := newRuntime(t, Settings{}).OpenFile(bundled)
	require.NoError(t, err)
	defer f.Close()
	info, found := f.file.FindTensor(name)
	require.True(t, found)
	return data[info.Offset:][:info.Bytes]
}

// TestDamageIsFound: a model that loads and embeds, but not to its own vectors.
func TestDamageIsFound(t *testing.T) {
	number := func(key string, value uint32) func([]byte) {
		return func(data []byte) {
			at := bytes.Index(data, []byte(key)) + len(key) + 4
			binary.LittleEndian.PutUint32(data[at:], value)
		}
	}
	for name, c := range map[string]struct {
		change  func(data []byte)
		verdict Status
		checks  map[string]Status // those that are not good
	}{
		"a matrix of zeros":        {func(data []byte) { clear(tensorBytes(t, data, "blk.2.ffn_up.weight")) }, Warning, map[string]Status{"numbers": Warning, "vectors": Warning}},
		"a hole in the embeddings": {func(data []byte) { clear(tensorBytes(t, data, "token_embd.weight")[11_000_000:][:2*holeBytes]) }, Warning, map[string]Status{"numbers": Warning}},
		"two matrices swapped": {func(data []byte) {
			a, b := tensorBytes(t, data, "blk.0.attn_q.weight"), tensorBytes(t, data, "blk.5.attn_v.weight")
			old := bytes.Clone(a)
			copy(a, b)
			copy(b, old)
		}, Warning, map[string]Status{"vectors": Warning}},
		"another pooling": {number("bert.pooling_type", 2), Warning, map[string]Status{"metadata": Warning, "vectors": Warning}},
		"two tokens swapped": {func(data []byte) {
			at := bytes.Index(data, []byte("\u2581river"))
			copy(data[at:], "\u2581revir")
		}, Bad, map[string]Status{"vectors": Bad}},
		"another special token": {number("tokenizer.ggml.seperator_token_id", 2000), Bad, map[string]Status{"tokenizer": Warning, "vectors": Bad}},
		"not a number": {func(data []byte) {
			copy(tensorBytes(t, data, "token_types.weight"), []byte{0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f})
		}, Bad,
			map[string]Status{"numbers": Bad, "vectors": Bad}},
	} {
		t.Run(name, func(t *testing.T) {
			report, checks := verify(t, damaged(t, c.change))
			require.Equal(t, c.verdict, report.Verdict, "%+v", report)
			for name, check := range checks {
				want, listed := c.checks[name]
				if !listed {
					want = Good
				}
				require.Equal(t, want, check.Status, "%s: %v", name, check.Detail)
			}
		})
	}
}

// TestVerifyAgreesWithLoading: what a load refuses is bad, by the same code; what it takes is not.
func TestVerifyAgreesWithLoading(t *testing.T) {
	r := newRuntime(t, Settings{})
	for _, c := range hostile.All() {
		if c.Section == "truncation" || c.Section == "other formats" {
			continue
		}
		t.Run(c.Section+"/"+c.Name, func(t *testing.T) {
			path, err := c.Make(filepath.Join(t.TempDir(), "m.gguf"))
			require.NoError(t, err)
			report, err := r.Verify(path, nil)
			require.NoError(t, err)
			codes := map[errs.Code]bool{}
			for _, check := range report.Checks {
				codes[check.Code] = true
				require.NotEqual(t, errs.InternalFault, check.Code)
			}
			require.Equal(t, c.Code != "", report.Verdict == Bad, "%+v", report)
			require.True(t, codes[c.Code], "%+v", report)
			require.Zero(t, r.ledger.Total())
		})
	}
}

// TestNumbersOfFilesTooLargeAreNotRead, whatever the architecture makes of the file: of a sparse one that would take hours.
func TestNumbersOfFilesTooLargeAreNotRead(t *testing.T) {
	unknown := damaged(t, func(data []byte) { copy(data[bytes.Index(data, []byte("bert")):], "tree") })
	for path, code := range map[string]errs.Code{bundled: errs.MemoryLimit, unknown: errs.Architecture} {
		r := newRuntime(t, Settings{})
		r.monitor.WithLimits(func() []memory.SystemLimit { return []memory.SystemLimit{{Name: "cgroup", Bytes: 4 << 20}} })
		report, err := r.Verify(path, nil)
		require.NoError(t, err)
		require.Equal(t, code, report.Checks[1].Code)
		numbers := report.Checks[2]
		require.Equal(t, "numbers", numbers.Name)
		require.Equal(t, Skipped, numbers.Status)
		require.Contains(t, strings.Join(numbers.Detail, "\n"), "4194304 that are available (bound: cgroup)")
	}
}

func TestVerifyIsCancelled(t *testing.T) {
	var stop atomic.Uint32
	stop.Store(1)
	r := newRuntime(t, Settings{})
	_, err := r.Verify(bundled, &stop)
	require.Equal(t, errs.Aborted, errs.From(err).Code)
}
