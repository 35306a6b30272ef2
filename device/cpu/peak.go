package cpu

/*
#include <kernels.h>
#include <peak.h>
#include <stdlib.h>
*/
import "C"

import (
	"runtime"
	"sync"
	"unsafe"

	"gguf-stream/device"
)

// Arithmetic is what a product is made of (gsk_arithmetic).
type Arithmetic int

// The arithmetics: of float forms, of codes in Exact, of codes in Fast, and in Fast of types without codes.
const (
	Floats      Arithmetic = C.GSK_FLOATS
	ExactCodes  Arithmetic = C.GSK_EXACT_CODES
	FastCodes   Arithmetic = C.GSK_FAST_CODES
	Words       Arithmetic = C.GSK_WORD_PAIRS
	arithmetics            = C.GSK_ARITHMETICS
)

// Peak is what one thread reaches with nothing but one arithmetic in registers.
type Peak struct {
	Name string  `json:"name"` // "floats", "exact", "fast", "words"
	Loop string  `json:"loop"` // its instruction's operands and width
	Gops float64 `json:"gops"` // G operations a second; a multiplication and an addition are two
}

var arithmeticNames = [arithmetics]string{"floats", "exact", "fast", "words"}

// Peaks measures the loops of the device's set, by Arithmetic; false for a set that has none. It takes some milliseconds.
func (d *Device) Peaks() (peaks [arithmetics]Peak, known bool) {
	for i := range peaks {
		loop := d.set.peak(Arithmetic(i))
		if loop == "" {
			return peaks, false
		}
		peaks[i] = Peak{arithmeticNames[i], loop, measuredRate(loop)}
	}
	return peaks, true
}

// peak names the loop that bounds an arithmetic, "" if the set has none.
func (k *kernelSet) peak(a Arithmetic) string { return C.GoString(k.c.peaks[a]) }

// rates of the loops that were measured: the processor stays what it is.
var rates sync.Map

func measuredRate(loop string) float64 {
	rate, found := rates.Load(loop)
	if !found {
		rate, _ = rates.LoadOrStore(loop, loopRate(loop))
	}
	return rate.(float64)
}

// loopRate is the best of a few short runs in G operations a second of the thread's own time, 0 where the processor has
// no such loop.
func loopRate(name string) (best float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	for range 8 {
		start := threadTime()
		ops := float64(C.gsk_peak_run(c, 1<<17))
		best = max(best, ops/float64(threadTime()-start))
	}
	return best
}

// threadTime is the calling thread's processor time in nanoseconds.
func threadTime() int64 { return int64(C.gsk_thread_time()) }

// Measure runs a batch by one thread and says how much of its time the products alone would take at the peaks.
func Measure(x device.Executable, b *device.Batch, peaks [arithmetics]Peak) (share, seconds float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	one := *b
	one.Threads = 1
	start := threadTime()
	if err := x.Run(&one); err != nil {
		return 0, 0, err
	}
	seconds = float64(threadTime()-start) / 1e9
	least := 0.0
	for i, n := range x.(*executable).operations(b) {
		if n > 0 {
			least += n / peaks[i].Gops / 1e9
		}
	}
	return least / seconds, seconds, nil
}

// attentionArithmetic is of texts of up to GSK_KEYS tokens and of longer ones.
var attentionArithmetic = [...][2]Arithmetic{ofFloats: {Floats, Floats}, ofCodes: {Floats, Words}, ofFast: {Words, Words}}

// operations are a batch's multiplications and additions in products.
func (e *executable) operations(b *device.Batch) (n [arithmetics]float64) {
	rows := float64(len(b.IDs))
	short, long := 0.0, 0.0 // pairs of a query and a key
	for t := range b.Texts() {
		l := float64(b.Offsets[t+1] - b.Offsets[t])
		if l <= C.GSK_KEYS {
			short += l * l
		} else {
			long += l * l
		}
	}
	for i := range e.program.Steps {
		s := &e.program.Steps[i]
		switch s.Op {
		case device.OpLinear:
			w := e.weights.specs[s.Weight]
			elements, _ := w.Shape.Elements()
			n[e.device.set.arithmetic(w, e.weights.precision)] += 2 * rows * float64(elements)
		case device.OpAttention:
			of, each := e.attentionOf(s), 4*float64(s.Heads*s.HeadSize)
			n[attentionArithmetic[of][0]] += each * short
			n[attentionArithmetic[of][1]] += each * long
		}
	}
	return n
}

// arithmetic is what a matrix's products are made of.
func (k *kernelSet) arithmetic(s device.TensorSpec, p device.Precision) Arithmetic {
	form := k.form(s, p)
	switch {
	case form.storage == C.GSK_WORDS:
		return Words
	case !isCodes(&form):
		return Floats
	case form.fast != 0:
		return FastCodes
	}
	return ExactCodes
}
