package cpu

// #include <exec.h>
import "C"

import (
	"math"
	"sync"
	"unsafe"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
)

// keptWorkspaceBytes: workspaces up to here stay allocated between runs; those of longer texts are given back.
const keptWorkspaceBytes = 32 << 20

// executable implements device.Executable. One batch runs at a time.
type executable struct {
	device    *Device
	weights   *weights
	program   *device.Program
	compiled  *memory.Region // gsk_program, gsk_batch, slots, steps, runs
	c         *C.gsk_program
	mu        sync.Mutex
	workspace *memory.Region
	release   func()
	decodes   bool // a lookup table is of a type that C does not read
	schedule  schedule
	batch     *C.gsk_batch // of the run under way, off the heap too
}

// Compile implements device.Device.
func (d *Device) Compile(p *device.Program, dw device.Weights) (device.Executable, error) {
	w, ok := dw.(*weights)
	if !ok || len(p.Slots) > C.GSK_SLOTS {
		return nil, errs.New(errs.InternalFault, "device", "a program of %d slots over weights of another device", len(p.Slots))
	}
	runs := runsOf(p)
	size := sizes[C.gsk_program](1) + sizes[C.gsk_batch](1) + sizes[C.gsk_slot](len(p.Slots)) + sizes[C.gsk_step](len(p.Steps)) + sizes[C.int32_t](len(runs))
	r, err := d.config.Ledger.Allocate(memory.Weights, size)
	if err != nil {
		return nil, err
	}
	e := &executable{device: d, weights: w, program: p, compiled: r}
	at := int64(0)
	e.c, e.batch = &carve[C.gsk_program](r, &at, 1)[0], &carve[C.gsk_batch](r, &at, 1)[0]
	slots, steps := carve[C.gsk_slot](r, &at, len(p.Slots)), carve[C.gsk_step](r, &at, len(p.Steps))
	e.c.runs, e.c.run_count = unsafe.SliceData(carve[C.int32_t](r, &at, len(runs))), C.int64_t(len(runs)-1)
	copy(unsafe.Slice(e.c.runs, len(runs)), runs)
	for i, s := range p.Slots {
		slots[i] = C.gsk_slot{stride: C.gsk_floats_stride(C.int64_t(s.Columns)), kept: flag(s.Kept)}
	}
	for i := range p.Steps {
		steps[i] = e.step(&p.Steps[i])
		m := &steps[i].matrix
		e.c.widest = max(e.c.widest, m.k)
		e.c.widened = max(e.c.widened, C.gsk_widened_bytes(d.set.c, &m.form, m.k))
		e.c.mins |= m.form.has_min
	}
	e.c.steps, e.c.slots = unsafe.SliceData(steps), unsafe.SliceData(slots)
	e.c.step_count, e.c.slot_count = C.int64_t(len(steps)), C.int64_t(len(slots))
	e.c.rotary = (*C.float)(unsafe.SliceData(p.Tables.Rotary))
	e.c.hidden_size, e.c.result = C.int64_t(p.HiddenSize), C.int64_t(p.Result)
	e.c.fast = flag(w.precision == device.Fast)
	e.c.set = d.set.c
	return e, nil
}

// The numbers that exec.h and kernels.h give to what package device names: a constant index beyond 0 does not compile.
var (
	_ = [1]struct{}{}[(C.GSK_EMBED-int(device.OpEmbed))|(C.GSK_NORM-int(device.OpNorm))|(C.GSK_LINEAR-int(device.OpLinear))|
		(C.GSK_ACTIVATE-int(device.OpActivate))|(C.GSK_ROTARY-int(device.OpRotary))|(C.GSK_ATTENTION-int(device.OpAttention))]
	_ = [1]struct{}{}[(C.GSK_POOL_MEAN-int(device.PoolMean))|(C.GSK_POOL_CLS-int(device.PoolCLS))|(C.GSK_POOL_LAST-int(device.PoolLast))]
	_ = [1]struct{}{}[(C.GSK_GELU-int(device.GELU))|(C.GSK_GATED_SILU-int(device.GatedSiLU))|(C.GSK_GATED_GELU-int(device.GatedGELU))]
)

func sizes[T any](n int) int64 { return int64(n) * int64(unsafe.Sizeof(*new(T))) }

// carve takes the next n values of r at offset at.
func carve[T any](r *memory.Region, at *int64, n int) []T {
	s := memory.Slice[T](r, *at, int64(n))
	*at += sizes[T](n)
	return s
}

// runsOf is the first step of each run of row-local steps and of each attention, and the number of steps.
func runsOf(p *device.Program) (runs []C.int32_t) {
	for i := range p.Steps {
		if i == 0 || p.Steps[i].Op == device.OpAttention || p.Steps[i-1].Op == device.OpAttention {
			runs = append(runs, C.int32_t(i))
		}
	}
	return append(runs, C.int32_t(len(p.Steps)))
}

func (e *executable) vector(id device.TensorID) *C.float {
	if id == device.NoTensor {
		return nil
	}
	return (*C.float)(unsafe.Pointer(unsafe.SliceData(e.weights.data(id))))
}

func (e *executable) step(s *device.Step) C.gsk_step {
	c := C.gsk_step{op: C.int32_t(s.Op), in: C.int32_t(s.In), add: C.int32_t(s.Add), out: C.int32_t(s.Out),
		column: C.int32_t(s.Column), columns: C.int32_t(s.Columns), activation: C.int32_t(s.Activation),
		heads: C.int32_t(s.Heads), head_size: C.int32_t(s.HeadSize),
		epsilon: C.float(s.Epsilon), scale: C.float(s.Scale)}
	switch s.Op {
	case device.OpLinear:
		c.matrix = e.device.set.matrix(e.weights.specs[s.Weight], e.weights.precision, e.weights.data(s.Weight))
		c.bias = e.vector(s.Bias)
	case device.OpAttention:
		c.attention = C.int32_t(e.attentionOf(s))
	case device.OpNorm:
		c.weight, c.bias = e.vector(s.Weight), e.vector(s.Bias)
	case device.OpEmbed:
		c.in = -1
		e.c.tokens, e.c.positions, e.c.types = e.reader(s.Weight), e.reader(s.Positions), e.reader(s.Types)
	}
	return c
}

// attentionOf is what an attention's products are of.
type attentionOf C.gsk_attention_of

const (
	ofFloats attentionOf = C.GSK_OF_FLOATS
	ofCodes  attentionOf = C.GSK_OF_CODES
	ofFast   attentionOf = C.GSK_OF_FAST
)

// attentionOf: in Exact of codes where the matrices that give queries, keys and values have codes, and so their products
// an error of that size already.
func (e *executable) attentionOf(s *device.Step) attentionOf {
	if e.weights.precision == device.Fast {
		return ofFast
	}
	for i := range e.program.Steps {
		from := &e.program.Steps[i]
		if from.Op == device.OpLinear && from.Out == s.In && e.device.set.arithmetic(e.weights.specs[from.Weight], device.Exact) == Floats {
			return ofFloats
		}
	}
	return ofCodes
}

// Run implements device.Executable.
func (e *executable) Run(b *device.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.checkIDs(b); err != nil {
		return err
	}
	threads := e.device.threads
	if b.Threads > 0 {
		threads = min(threads, b.Threads)
	}
	s := &e.schedule
	s.divide(b.Offsets, threads)
	if s.longest > e.program.MaxTokens {
		return errs.New(errs.ArgumentInvalid, "batch", "a text of %d tokens; the program takes %d", s.longest, e.program.MaxTokens)
	}
	cb := e.batch
	*cb = C.gsk_batch{pooling: C.int32_t(b.Pooling), group_count: C.int64_t(len(s.groups) - 1), group_rows: C.int64_t(s.groupRows),
		longest: C.int64_t(s.longest), together: flag(s.together), threads: C.int32_t(s.threads)}
	C.gsk_workspace(e.c, cb)
	embedBytes := e.embedBytes(b)
	if err := e.reserve(embedBytes + int64(C.gsk_workspace_bytes(cb))); err != nil {
		return err
	}
	defer e.trim()
	if embedBytes > 0 {
		embedded := memory.Slice[float32](e.workspace, 0, embedBytes/4)
		e.embed(embedded, b)
		cb.embedded = (*C.float)(unsafe.SliceData(embedded))
	}
	cb.workspaces = (*C.uint8_t)(unsafe.Pointer(&e.workspace.Bytes()[embedBytes]))
	if cancelled := e.call(b); cancelled {
		return errs.Cancelled("")
	}
	return nil
}

// call pins the batch's Go slices for the one cgo call.
func (e *executable) call(b *device.Batch) (cancelled bool) {
	cb := e.batch
	defer func() { *cb = C.gsk_batch{} }()
	var pins pinner
	defer pins.Unpin()
	cb.ids = (*C.uint32_t)(pin(&pins, unsafe.SliceData(b.IDs)))
	cb.offsets = (*C.uint32_t)(pin(&pins, unsafe.SliceData(b.Offsets)))
	cb.groups = (*C.uint32_t)(pin(&pins, unsafe.SliceData(e.schedule.groups)))
	cb.out = (*C.float)(pin(&pins, unsafe.SliceData(b.Out)))
	cb.cancelled = (*C.uint32_t)(unsafe.Pointer(b.Cancelled))
	if b.Cancelled != nil {
		pins.Pin(b.Cancelled)
	}
	return C.gsk_run(e.c, cb) != 0
}

// reserve makes the workspace at least n bytes.
func (e *executable) reserve(n int64) error {
	if e.workspace != nil && e.workspace.Size() >= n {
		return nil
	}
	e.free()
	grant, err := e.device.config.Monitor.TryAllocate(n, math.MaxInt64, "activations")
	if err != nil {
		return err
	}
	r, err := e.device.config.Ledger.Allocate(memory.Activations, n)
	if err != nil {
		grant.Release()
		return err
	}
	grant.Filled() // nearly: the batch that is waited for fills it next
	r.AdviseHuge()
	e.workspace, e.release = r, grant.Release
	return nil
}

// trim gives back what only a long text needed.
func (e *executable) trim() {
	if e.workspace.Size() > keptWorkspaceBytes {
		e.free()
	}
}

func (e *executable) free() {
	if e.workspace != nil {
		e.workspace.Free()
		e.release()
		e.workspace, e.release = nil, nil
	}
}

// Close implements device.Executable.
func (e *executable) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free()
	e.compiled.Free()
}
