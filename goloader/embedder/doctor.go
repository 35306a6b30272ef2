package embedder

import (
	"math"
	"runtime"
	"slices"

	"gguf-stream/device"
	"gguf-stream/device/cpu"
	"gguf-stream/goloader/memory"
)

// Diagnosis is the core's part of what a bug report needs.
type Diagnosis struct {
	Go        string               `json:"go"`
	Platform  string               `json:"platform"`
	Threads   int                  `json:"threads"`   // usable: affinity and quota
	Available int64                `json:"available"` // bytes that a load would be granted now
	Bound     string               `json:"bound"`     // what decides that
	Limits    []memory.SystemLimit `json:"limits"`
	Sets      []SetDiagnosis       `json:"kernelSets"`
	Healthy   bool                 `json:"healthy"` // no set differs
}

// SetDiagnosis is a kernel set and how its self-test ended.
type SetDiagnosis struct {
	Name     string   `json:"name"`
	Selected bool     `json:"selected"`
	Missing  []string `json:"missing"` // what the processor lacks; then the test is not run
	SelfTest string   `json:"selfTest"`
}

// The ends of a self-test.
const (
	sameBits   = "same bits as portable"
	otherBits  = "other bits than portable"
	notRun     = "not run"
	selfFailed = "failed: "
)

// Diagnose looks at the system and runs the self-test on every kernel set that can run here.
func (r *Runtime) Diagnose() *Diagnosis {
	d := &Diagnosis{Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Threads: r.cpu.Threads(),
		Limits: append([]memory.SystemLimit{}, memory.SystemLimits()...), Healthy: true}
	d.Available, d.Bound = r.monitor.Available(0)
	test := newSelfTest()
	want := r.selfTest(test, "portable")
	for _, info := range cpu.Sets() {
		s := SetDiagnosis{Name: info.Name, Selected: info.Name == r.KernelSet(), Missing: append([]string{}, info.Missing...), SelfTest: notRun}
		if info.Available() {
			s.SelfTest = judge(r.selfTest(test, info.Name), want)
			d.Healthy = d.Healthy && s.SelfTest == sameBits
		}
		d.Sets = append(d.Sets, s)
	}
	return d
}

// outcome of a self-test: the bits of both precisions.
type outcome struct {
	values []float32
	err    error
}

func (r *Runtime) selfTest(t *selfTest, set string) (o outcome) {
	d, err := cpu.New(cpu.Config{Ledger: r.ledger, Monitor: r.monitor, KernelSet: set})
	if err != nil {
		return outcome{err: err}
	}
	for _, p := range []device.Precision{device.Exact, device.Fast} {
		values, err := t.run(d, p)
		if err != nil {
			return outcome{err: err}
		}
		o.values = append(o.values, values...)
	}
	return o
}

func judge(got, want outcome) string {
	for _, o := range []outcome{got, want} {
		if o.err != nil {
			return selfFailed + o.err.Error()
		}
	}
	same := slices.EqualFunc(got.values, want.values, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
	if !same {
		return otherBits
	}
	return sameBits
}
