package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func words(text string) []string {
	var out []string
	s := new(Scratch)
	n := normalizer{lowercase: true, stripAccents: true, s: s}
	n.word = func() bool { out = append(out, string(s.word[:s.bytes])); return true }
	n.run([]byte(text))
	return out
}

func lines(t *testing.T, path string) *bufio.Scanner {
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	return s
}

// TestEveryCodePoint: what "a" + code point + "b" becomes, for all but the surrogates.
func TestEveryCodePoint(t *testing.T) {
	number := func(s string) rune {
		n, err := strconv.ParseUint(s, 16, 32)
		require.NoError(t, err)
		return rune(n)
	}
	seen := 0
	for s := lines(t, "testdata/bert-codepoints.tsv.gz"); s.Scan(); {
		f := strings.Split(s.Text(), "\t")
		for r := number(f[0]); r <= number(f[1]); r++ {
			if r >= 0xd800 && r < 0xe000 {
				continue
			}
			c := string(r)
			var want []string
			switch f[2] {
			case "K":
				want = []string{"a" + c + "b"}
			case "D":
				want = []string{"ab"}
			case "S":
				want = []string{"a", "b"}
			case "I":
				want = []string{"a", c, "b"}
			case "M":
				for piece := range strings.SplitSeq(f[3], "|") {
					w := ""
					for h := range strings.FieldsSeq(piece) {
						w += string(number(h))
					}
					want = append(want, w)
				}
			}
			got := words("a" + c + "b")
			if strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
				t.Fatalf("U+%04X (%s): %q, want %q", r, f[2], got, want)
			}
			seen++
		}
	}
	require.Equal(t, 0x110000-2048, seen)
}

func TestRunsOfMarks(t *testing.T) {
	n := 0
	for s := lines(t, "testdata/bert-normalize.jsonl.gz"); s.Scan(); n++ {
		var g struct{ T, N string }
		require.NoError(t, json.Unmarshal(s.Bytes(), &g))
		require.Equal(t, strings.Fields(g.N), words(g.T), "%q", g.T)
	}
	require.Equal(t, 600, n)
}
