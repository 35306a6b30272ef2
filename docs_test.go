package floors

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device/cpu"
	"gguf-stream/goloader/encoder"
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
