package encoder

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/test/source"
)

// TestMatricesWithValuesAreSensitive: attention's values alone, or queries, keys and values in one matrix, and no other.
func TestMatricesWithValuesAreSensitive(t *testing.T) {
	for model, want := range map[string]string{"bert-tiny-mean": "attn_v.weight", "nomic-tiny-mean": "attn_qkv.weight"} {
		l := layoutOf(t, "../../test/models/"+model+".gguf")
		found := 0
		for _, s := range l.Specs {
			sensitive := strings.HasSuffix(s.Name, "."+want)
			require.Equal(t, sensitive, s.Sensitive, s.Name)
			require.False(t, sensitive && s.Role != device.Matrix, s.Name)
			if sensitive {
				found++
			}
		}
		require.Len(t, l.layers, found, model)
	}
}

func layoutOf(t *testing.T, file string) *Layout {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := gguf.OpenSource(&source.Memory{Data: content}, ledger)
	require.NoError(t, err)
	defer f.Close()
	c, err := ReadConfig(f)
	require.NoError(t, err)
	l, err := ReadLayout(f, c)
	require.NoError(t, err)
	return l
}
