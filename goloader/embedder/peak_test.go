package embedder

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/device/cpu"
	"gguf-stream/goloader/errs"
)

// TestPeak: each set that has loops reaches a share of them; one that has none says so.
func TestPeak(t *testing.T) {
	for _, s := range cpu.Sets() {
		t.Run(s.Name, func(t *testing.T) {
			needSet(t, s)
			for _, p := range []device.Precision{device.Exact, device.Fast} {
				r := newRuntime(t, Settings{KernelSet: s.Name})
				e := open(t, r, made+"bert-tiny-mean.Q8_0.gguf", p)
				report, err := e.Peak(0, nil)
				require.NoError(t, err)
				require.Equal(t, s.Name, report.Set)
				if _, known := r.cpu.Peaks(); !known {
					require.Empty(t, report.Peaks)
					require.Empty(t, report.Shares)
				} else {
					require.Len(t, report.Peaks, 4)
					require.Len(t, report.Shares, len(peakShapes))
				}
				for _, x := range report.Shares {
					require.True(t, x.Share > 0 && x.Share < 1 && x.TokensPerSec > 0, "%+v", x)
				}
				e.Close()
				_, err = e.Peak(0, nil)
				require.True(t, isCode(err, errs.Closed))
			}
		})
	}
}

func TestPeakIsCancelled(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, made+"bert-tiny-mean.Q8_0.gguf", device.Exact)
	defer e.Close()
	var cancelled atomic.Uint32
	cancelled.Store(1)
	if _, known := r.cpu.Peaks(); known {
		_, err := e.Peak(0, &cancelled)
		require.True(t, isCode(err, errs.Aborted))
	}
}
