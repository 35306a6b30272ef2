package floors

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device/cpu"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/quant"
)

// TestReadmeListsWhatTheTablesHold: types, architectures, kernel sets.
func TestReadmeListsWhatTheTablesHold(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(raw)
	for _, typ := range quant.Types() {
		if typ.Decode != nil {
			require.Regexp(t, `\b`+typ.Name+`[,.\n]`, readme)
		}
	}
	for _, a := range encoder.Architectures() {
		require.Contains(t, readme, "`"+a+"`")
	}
	for _, s := range cpu.Sets() {
		require.Contains(t, readme, "`"+s.Name+"`")
	}
}

// TestJavaScriptHasTheSameLimits: js/limits.js names no others.
func TestJavaScriptHasTheSameLimits(t *testing.T) {
	raw, err := os.ReadFile("js/limits.js")
	require.NoError(t, err)
	js := string(raw)
	same := map[string]int64{
		"maxTextBytes":        limits.MaxTextBytes,
		"maxQueuedTexts":      limits.MaxQueuedTexts,
		"heapAllocationBytes": limits.HeapAllocationBytes,
		"defaultBudgetBytes":  limits.DefaultBudgetBytes,
	}
	for name, value := range same {
		require.Contains(t, js, fmt.Sprintf("\n  %s: %d,", name, value))
	}
	require.Equal(t, len(same), strings.Count(js, "\n  "))
}
