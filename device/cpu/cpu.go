// Package cpu is the fast device: weights packed into panels of 32 output columns, programs run by C
// kernels on one pool of C threads, all steps of a batch in one cgo call.
//
//	TensorBuilder ──codes | floats | blocks──▶ pack.c ──▶ one weights region, sealed
//	Program ──Compile──▶ gsk_step[] (off-heap)                │
//	Batch ──ids, or rows that C cannot read (Go)──▶ gsk_run ◀─┘──▶ groups of texts, a thread each
//	                                                │ GSK_SLAB rows at a time: linear, norm, activation
//	                                                └ attention per text, pooling ──▶ Out
//
// The kernels are chosen once by what the processor has (sets.go); all sets give the same bits. Memory
// is regions of the ledger: weights for the model's life, a workspace a thread (activations) that grows
// with the longest text and is kept between runs.
package cpu

/*
#cgo CFLAGS: -O3 -std=c11 -Wall -Wextra -Werror -Wframe-larger-than=65536
#cgo LDFLAGS: -lm -lpthread
// in angle brackets in all preambles: cgo compiles them in the folder for temporary files, where quotes look first
#include <exec.h>
#include <pool.h>
*/
import "C"

import (
	"gguf-stream/device"
	"gguf-stream/goloader/memory"
)

// Config of the device.
type Config struct {
	Ledger    *memory.Ledger
	Monitor   *memory.Monitor
	KernelSet string // a set's name; "": the best
	Threads   int    // 0: the usable cores
}

// Device implements device.Device.
type Device struct {
	config  Config
	set     *kernelSet
	threads int
}

var _ device.Device = (*Device)(nil)

// New chooses the kernel set. ERR_KERNEL_SET for a name that is unknown or cannot run here.
func New(c Config) (*Device, error) {
	set, err := chooseSet(c.KernelSet)
	if err != nil {
		return nil, err
	}
	threads := c.Threads
	if threads <= 0 {
		threads = usableThreads()
	}
	return &Device{config: c, set: set, threads: min(threads, C.GSK_THREADS)}, nil
}

// Name is "cpu".
func (d *Device) Name() string { return "cpu" }

// KernelSet is the chosen set's name.
func (d *Device) KernelSet() string { return d.set.name }

// Threads is the most threads of a run.
func (d *Device) Threads() int { return d.threads }
