package embedder

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"gguf-stream/device"
	"gguf-stream/device/cpu"
	"gguf-stream/goloader/errs"
)

// PeakReport says how near the encoder comes to what the processor can do, one thread of each.
type PeakReport struct {
	Set    string      `json:"set"`
	Peaks  []cpu.Peak  `json:"peaks"`  // none: there are no loops for this set, and no shares
	Shares []PeakShare `json:"shares"` // of the shapes that the model takes
}

// PeakShare is a batch's. The rest of the time goes to the other steps and to waiting for memory.
type PeakShare struct {
	Texts        int     `json:"texts"`
	Tokens       int     `json:"tokens"`       // of each text
	Share        float64 `json:"share"`        // of the time, that the products alone would take at the peaks
	TokensPerSec float64 `json:"tokensPerSec"` // of the thread's own time, without tokenizing
}

// peakShapes: texts and tokens of each.
var peakShapes = [][2]int{{32, 16}, {32, 128}}

const peakRuns = 5 // at least, of which the median counts

// Peak measures, each shape for so long at least. Calls of others wait meanwhile.
func (e *Embedder) Peak(each time.Duration, cancelled *atomic.Uint32) (*PeakReport, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.pending.Done()
	report := &PeakReport{Set: e.runtime.KernelSet(), Peaks: []cpu.Peak{}, Shares: []PeakShare{}}
	peaks, known := e.runtime.cpu.Peaks()
	if !known {
		return report, nil
	}
	report.Peaks = peaks[:]
	for _, shape := range peakShapes {
		if shape[1] > e.model.config.Context {
			continue
		}
		share, err := e.share(shape[0], shape[1], each, cancelled, func(b *device.Batch) (float64, float64, error) {
			defer turn(e.model.compute)()
			return cpu.Measure(e.model.executable, b, peaks)
		})
		if err != nil {
			return nil, err
		}
		report.Shares = append(report.Shares, share)
	}
	return report, nil
}

// share is the median of runs over texts of random tokens.
func (e *Embedder) share(texts, tokens int, each time.Duration, cancelled *atomic.Uint32, run func(*device.Batch) (share, seconds float64, err error)) (PeakShare, error) {
	random := rand.New(rand.NewPCG(1, 2))
	b := &device.Batch{Offsets: []uint32{0}, Pooling: device.PoolMean, Out: make([]float32, texts*e.model.config.HiddenSize), Cancelled: cancelled}
	for range texts {
		for range tokens {
			b.IDs = append(b.IDs, random.Uint32N(uint32(e.model.layout.Vocabulary)))
		}
		b.Offsets = append(b.Offsets, uint32(len(b.IDs)))
	}
	var runs []PeakShare
	for start := time.Now(); len(runs) < peakRuns || time.Since(start) < each; {
		if errs.GaveUp(cancelled) {
			return PeakShare{}, errs.Cancelled("")
		}
		share, seconds, err := run(b)
		if err != nil {
			return PeakShare{}, err
		}
		runs = append(runs, PeakShare{texts, tokens, share, float64(texts*tokens) / seconds})
	}
	slices.SortFunc(runs, func(a, b PeakShare) int { return cmp.Compare(a.Share, b.Share) })
	return runs[len(runs)/2], nil
}
