package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/quant"
)

// TestRowReadersGiveTheDecodersBits: every bit pattern of a half, and random blocks.
func TestRowReadersGiveTheDecodersBits(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for name, fast := range fastPaths {
		if fast.read == nil {
			continue
		}
		q, ok := quant.ByName(name)
		require.True(t, ok)
		blocks := 1 << 16
		row, want, got := make([]byte, blocks*q.BlockBytes), make([]float32, blocks*q.BlockElements), make([]float32, blocks*q.BlockElements)
		for i := range row {
			row[i] = byte(r.Uint32())
		}
		for i := range blocks {
			row[i*q.BlockBytes], row[i*q.BlockBytes+1] = byte(i), byte(i>>8)
		}
		q.Decode(want, row)
		readRow(name, row, got)
		for i := range want {
			if want[i] != want[i] {
				require.NotEqual(t, got[i], got[i], "%s: value %d", name, i) // payloads of NaN are free
				want[i], got[i] = 0, 0
			}
		}
		requireBits(t, want, got, name)
	}
}

func TestBatchesThatAreNoneAreRefused(t *testing.T) {
	s := shapes[0]
	m := s.model(rand.New(rand.NewPCG(1, 2)))
	e := m.load(t, newDevice(t, "", 1), device.Exact)
	for name, ids := range map[string][]uint32{"outside the table": {vocabulary}, "no tokens": {}, "over the longest text": make([]uint32, m.program.MaxTokens+1)} {
		err := e.Run(&device.Batch{IDs: ids, Offsets: []uint32{0, uint32(len(ids))}, Pooling: device.PoolMean, Out: make([]float32, s.hidden)})
		require.Equal(t, errs.ArgumentInvalid, errs.From(err).Code, name)
	}
}
