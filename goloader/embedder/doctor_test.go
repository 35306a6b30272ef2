package embedder

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/device/cpu"
	"gguf-stream/device/reference"
)

func TestDiagnosis(t *testing.T) {
	r := newRuntime(t, Settings{})
	d := r.Diagnose()
	require.True(t, d.Healthy, "%+v", d)
	require.Positive(t, d.Threads)
	require.Positive(t, d.Available)
	require.NotEmpty(t, d.Bound)
	require.Len(t, d.Sets, len(cpu.Sets()))
	selected, ran := 0, 0
	for _, s := range d.Sets {
		if s.Selected {
			selected++
		}
		if s.SelfTest == sameBits {
			ran++
		}
		require.Equal(t, len(s.Missing) == 0, s.SelfTest == sameBits, "%+v", s)
	}
	require.Equal(t, 1, selected)
	require.Positive(t, ran)
	require.Zero(t, r.ledger.Total())
}

// TestSelfTestComputes: its vectors are those of the reference device, and no two texts' are alike.
func TestSelfTestComputes(t *testing.T) {
	r := newRuntime(t, Settings{})
	s := newSelfTest()
	want, err := s.run(reference.New(r.ledger), device.Exact)
	require.NoError(t, err)
	got, err := s.run(r.cpu, device.Exact)
	require.NoError(t, err)
	require.True(t, finite(got))
	require.LessOrEqual(t, worst(t, got, want, selfHidden), 1e-6)
	require.NotEqual(t, got[:selfHidden], got[selfHidden:2*selfHidden])
}

func TestJudge(t *testing.T) {
	one, other := outcome{values: []float32{1, 2}}, outcome{values: []float32{1, 2.0000002}}
	require.Equal(t, sameBits, judge(one, one))
	require.Equal(t, otherBits, judge(other, one))
	require.Equal(t, otherBits, judge(outcome{values: []float32{1}}, one))
	require.Equal(t, selfFailed+"no", judge(outcome{err: errors.New("no")}, one))
}
