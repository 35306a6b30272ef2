package embedder

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
)

var update = flag.Bool("update", false, "write the vectors' hashes anew")

// TestVectorsAreTheSameBytesOnEveryProcessor compares hashes of vectors with those of the machine that wrote
// them: x86-64 and arm64 (scripts/test-arm64.sh) must agree, whatever set runs. After a change of the
// arithmetic `go test ./goloader/embedder -run SameBytes -update` writes them anew: users' stored vectors
// differ from then on in their last bits, which CHANGELOG.md has to say.
func TestVectorsAreTheSameBytesOnEveryProcessor(t *testing.T) {
	const golden = "../../test/golden/embeddings/bytes.sha256"
	var lines strings.Builder
	for _, m := range []struct{ file, texts string }{
		{made + "bert-tiny-mean.Q8_0.gguf", "texts.jsonl"}, {made + "nomic-tiny-mean.Q8_0.gguf", "texts-nomic.jsonl"},
		{made + "bert-tiny-cls.gguf", "texts.jsonl"}, {bundled, "texts.jsonl"},
		{"../../test/golden/all-MiniLM-L6-v2.Q4_K_M.gguf", "texts.jsonl"},
	} {
		texts := goldenTexts(t, m.texts)[:10]
		for _, precision := range []device.Precision{device.Exact, device.Fast} {
			e := open(t, newRuntime(t, Settings{}), m.file, precision)
			vectors := embed(t, e, texts, CallOptions{})
			e.Close()
			raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(vectors))), 4*len(vectors))
			fmt.Fprintf(&lines, "%x  %s %s\n", sha256.Sum256(raw), filepath.Base(m.file), []string{"exact", "fast"}[precision])
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(lines.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), lines.String())
}
