// Package embedder is a model's life: opened once and shared, fed batches from a queue, closed when its last
// user is gone. It is the only package that joins file, tokenizer, encoder and device.
//
//	Open ─▶ header, plan (bytes refused before they are allocated) ─▶ weights streamed to the device ─▶ model
//	Submit ─▶ model's queue ─▶ tokenizer ─▶ batch by token budget, longest first ─▶ Executable.Run ─▶ Done
//
// A Runtime is one per process. Models are shared by identity of the file, precision and device, counted
// by references; an Embedder is one user's handle with its own defaults. Each model has one goroutine
// while its queue holds something; jobs that wait together run together.
package embedder

import (
	"runtime"
	"sync"

	"gguf-stream/device"
	"gguf-stream/device/cpu"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

// Settings of a Runtime.
type Settings struct {
	KernelSet string // "": the best
	Threads   int    // 0: the usable cores
	// Wrap is gguf.OpenThrough's, for tests; nil.
	Wrap func(gguf.Source) gguf.Source
}

// Runtime holds what all models of a process share.
type Runtime struct {
	ledger  *memory.Ledger
	monitor *memory.Monitor
	cpu     *cpu.Device
	wrap    func(gguf.Source) gguf.Source
	disk    chan struct{} // seats: one is held while a load or a read is under way
	compute chan struct{} // seats: one is held while a device runs, so that models wait without a thread
	mu      sync.Mutex
	models  map[modelKey]*model
}

// NewRuntime makes the ledger, the monitor and the devices.
func NewRuntime(s Settings) (*Runtime, error) {
	ledger, err := memory.NewLedger()
	if err != nil {
		return nil, err
	}
	r := &Runtime{ledger: ledger, monitor: memory.ForNodejs(ledger), wrap: s.Wrap, models: map[modelKey]*model{},
		disk: seats(limits.DiskJobs), compute: seats(runtime.GOMAXPROCS(0))}
	r.cpu, err = cpu.New(cpu.Config{Ledger: ledger, Monitor: r.monitor, KernelSet: s.KernelSet, Threads: s.Threads})
	return r, err
}

// seats is a channel with n free ones in it.
func seats(n int) chan struct{} {
	free := make(chan struct{}, n)
	for range n {
		free <- struct{}{}
	}
	return free
}

// turn waits for a seat; call the result to give it back.
func turn(free chan struct{}) func() {
	<-free
	return func() { free <- struct{}{} }
}

// seat is a turn whose wait may be cancelled. It can be left and taken again; leaving it twice does nothing.
type seat struct {
	free chan struct{}
	gone func() bool
	held bool
}

func (s *seat) take() error {
	err := await(s.free, s.gone)
	s.held = err == nil
	return err
}

func (s *seat) leave() {
	if s.held {
		s.held = false
		s.free <- struct{}{}
	}
}

// Ledger counts the process's off-heap memory.
func (r *Runtime) Ledger() *memory.Ledger { return r.ledger }

// Monitor is the process's budget.
func (r *Runtime) Monitor() *memory.Monitor { return r.monitor }

// KernelSet is the name of the set in use.
func (r *Runtime) KernelSet() string { return r.cpu.KernelSet() }

// devices is the table: the user's option → the device.
var devices = map[string]func(*Runtime) device.Device{
	"":     func(r *Runtime) device.Device { return r.cpu },
	"auto": func(r *Runtime) device.Device { return r.cpu },
	"cpu":  func(r *Runtime) device.Device { return r.cpu },
}

func (r *Runtime) device(name string) (device.Device, error) {
	make, ok := devices[name]
	if !ok {
		return nil, errs.New(errs.DeviceUnavailable, "device", "device %q is not known here; use 'auto' or 'cpu'", name)
	}
	return make(r), nil
}

// precisionNames is the table: what the user's option may be.
var precisionNames = map[device.Precision]string{device.Exact: "exact", device.Fast: "fast"}

// PrecisionOf is the precision of a name; "" is Exact.
func PrecisionOf(name string) (device.Precision, error) {
	if name == "" {
		return device.Exact, nil
	}
	for p, n := range precisionNames {
		if n == name {
			return p, nil
		}
	}
	return device.Exact, errs.New(errs.ArgumentInvalid, "precision", "precision %q; 'exact' or 'fast' was expected", name)
}

// NoteHeap writes the Go heap's present size to the counters.
func (r *Runtime) NoteHeap() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.ledger.Counters().GoHeap.Store(int64(m.HeapInuse))
}
