// Package device says what a device can do, so that nothing above it knows which one it is. A device
// holds a model's weights in a form of its own and runs an encoder's Program over ragged batches of
// token ids.
//
//	TensorSpec[] ──▶ Device.NewWeights ──▶ TensorBuilder (append, finalise) ──▶ Weights.Seal
//	                                                                             │
//	Program (slots, steps) ─────────────────────────────▶ Device.Compile ◀───────┘
//	                                                        │
//	Batch (ids, offsets, pooling) ──▶ Executable.Run ───────┘──▶ Out [texts, hidden size] float32
//
// A Program is data: encoder writes it from an architecture's row, device/reference interprets it
// slowly and obviously, device/cpu compiles it for its kernels. It never holds strings, files or
// anything of JavaScript.
package device

import (
	"sync/atomic"

	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tensor"
)

// Precision chooses the arithmetic of linear steps.
type Precision uint8

// The precisions. Exact: 1 − cosine ≤ 1e-6 to the float64 forward pass; Fast: ≤ 1e-3.
const (
	Exact Precision = iota
	Fast
)

// Role says how a step uses a tensor, and so in which form a device keeps it.
type Role uint8

// The roles.
const (
	Matrix Role = iota // [outputs, inputs] of a linear step
	Lookup             // [entries, hidden size], rows fetched by id: kept as the file's blocks
	Vector             // [columns] float32: norms and biases
)

// TensorSpec is one tensor a device is asked to hold.
type TensorSpec struct {
	Name  string
	Shape tensor.Shape // Matrix and Lookup: [rows, columns]; Vector: [columns]
	Type  *quant.Type
	Role  Role
	// Sensitive, of a Matrix: errors of its product weigh more in the vectors than others'. Fast is finer there.
	Sensitive bool
}

// Device holds weights and runs programs. Its methods may be called from any goroutine.
type Device interface {
	Name() string
	// KernelSet is the name of the kernels that it has chosen for this machine; "" without a choice.
	KernelSet() string
	// WeightBytes is what NewWeights will allocate for these tensors; nothing is allocated.
	WeightBytes(specs []TensorSpec, p Precision) (int64, error)
	// NewWeights allocates the final size for all tensors at once, uncommitted pages untouched.
	NewWeights(specs []TensorSpec, p Precision) (Weights, error)
	// Compile prepares a program over sealed weights. Tensor numbers in the program index specs.
	Compile(program *Program, w Weights) (Executable, error)
}

// Weights are a model's tensors on a device: filled once, in any order of tensors, then sealed
// (read-only) and shared by all who run.
type Weights interface {
	// Builder starts the i-th tensor of the specs.
	Builder(i int) *TensorBuilder
	// Seal ends filling. It fails when a tensor was not finalised.
	Seal() error
	// Bytes is what the weights occupy.
	Bytes() int64
	// Close frees them. No Executable may run any more.
	Close()
}

// Executable is a compiled program. Run may be called from several goroutines; runs queue up inside.
type Executable interface {
	Run(b *Batch) error
	Close()
}

// Pooling makes one vector of a text's hidden states; the numbers are GGUF's pooling_type.
type Pooling uint8

// The poolings.
const (
	PoolNone Pooling = iota // not usable for embeddings
	PoolMean                // over all tokens, special ones included
	PoolCLS                 // the first token's
	PoolLast                // the last token's
)

// Batch is one run over texts of any lengths, without padding.
type Batch struct {
	IDs       []uint32 // all texts' token ids, one after another
	Offsets   []uint32 // [texts+1]: text t has IDs[Offsets[t]:Offsets[t+1]], at least one id
	Pooling   Pooling
	Threads   int            // at most so many; 0: as many as the device has
	Out       []float32      // [texts, hidden size], pooled, not normalised
	Cancelled *atomic.Uint32 // not 0: give up between steps with errs.Aborted; may be nil
}

// Texts is the number of texts of the batch.
func (b *Batch) Texts() int { return len(b.Offsets) - 1 }
