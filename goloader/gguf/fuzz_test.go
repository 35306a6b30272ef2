package gguf_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/test/source"
)

// FuzzMetadata puts any bytes behind a key, in every version and byte order: what opens can be read back whole, and
// reads the same value that was written where the bytes are those of a number.
func FuzzMetadata(f *testing.F) {
	ledger, err := memory.NewLedger() // one for all: a ledger's page is never given back
	require.NoError(f, err)
	for typ := range uint32(14) {
		f.Add(uint8(typ), typ, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	f.Add(uint8(3), uint32(gguf.String), append(make([]byte, 8), "text"...))
	f.Add(uint8(3), uint32(gguf.Array), []byte{8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(1), uint32(gguf.Array), []byte{9, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7})
	f.Fuzz(func(t *testing.T, layout uint8, typ uint32, value []byte) {
		w := gguf.NewWriter()
		w.Version = uint32(layout%3) + 1
		if layout&4 != 0 {
			w.Order = binary.BigEndian
		}
		w.Add("before", uint32(layout))
		w.AddRaw("k", typ, value)
		file, err := gguf.OpenSource(&source.Memory{Data: w.Header()}, ledger)
		if err != nil {
			var e *errs.Error
			require.ErrorAs(t, err, &e)
			require.NotEqual(t, errs.Internal, e.Kind())
			require.Zero(t, ledger.Total())
			return
		}
		readAll(t, file)
		n, err := file.Uint("before", 0)
		require.NoError(t, err)
		require.EqualValues(t, layout, n)
		file.Close()
		require.Zero(t, ledger.Total())
	})
}
