// Package main is the core as a C library: jobs come in through gguf_stream.h's queue, package jobs does
// them, results go back through the callback given to gs_start.
//
//	gs_submit (C, JS thread) ─▶ queue.c ─▶ dispatch (a few goroutines) ─▶ jobs.Core ─▶ gs_finish
//
// No goroutine ever runs on a JS thread. Nothing here or below writes to stdout or stderr, uses os/signal
// or reads the environment; but gs_serve, which is for a process of its own, answers on stdout.
package main

/*
#cgo CFLAGS: -O2 -std=c11 -Wall -Wextra -Werror -fvisibility=hidden
#include <queue.h>
#include <stdlib.h>
*/
import "C"

import (
	"unsafe"

	"gguf-stream/device/cpu"
	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/jobs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/process"
)

func main() {}

// the layout of gs_counters is memory.Counters: a negative difference does not fit a uint
const (
	_ = uint(unsafe.Sizeof(memory.Counters{}) - unsafe.Sizeof(C.gs_counters{}))
	_ = uint(unsafe.Sizeof(C.gs_counters{}) - unsafe.Sizeof(memory.Counters{}))
)

// gs_job_kind is jobs.Kind, number for number: a constant index beyond 0 does not compile
var _ = [1]struct{}{}[(C.GS_JOB_OPEN-jobs.Open)|(C.GS_JOB_EMBED-jobs.Embed)|(C.GS_JOB_TOKENIZE-jobs.Tokenize)|(C.GS_JOB_CLOSE-jobs.Close)|
	(C.GS_JOB_FILE_OPEN-jobs.FileOpen)|(C.GS_JOB_FILE_METADATA-jobs.FileMetadata)|(C.GS_JOB_FILE_TENSORS-jobs.FileTensors)|(C.GS_JOB_FILE_PLAN-jobs.FilePlan)|
	(C.GS_JOB_FILE_CHUNK-jobs.FileChunk)|(C.GS_JOB_FILE_LOAD-jobs.FileLoad)|(C.GS_JOB_FILE_CLOSE-jobs.FileClose)|(C.GS_JOB_OUTPUT-jobs.Output)|
	(C.GS_JOB_LOOK-jobs.Look)|(C.GS_JOB_END-jobs.End)|(C.GS_JOB_VERIFY-jobs.Verify)|(C.GS_JOB_DIAGNOSE-jobs.Diagnose)|
	(C.GS_JOB_PEAK-jobs.Peak)]

// a tensor's name with its NUL
var _ = [1]struct{}{}[C.GS_TENSOR_NAME-limits.TensorNameBytes-1]

//export gs_start
func gs_start(settings *C.gs_settings, fault *C.gs_error) (status C.int32_t) {
	defer func() {
		if e := recover(); e != nil {
			status = putError(fault, errs.New(errs.InternalFault, "", "the core did not start: %v", e))
		}
	}()
	if settings.abi_version != C.GS_ABI_VERSION {
		return putError(fault, errs.New(errs.NativeLoad, "", "the addon speaks version %d, the core %d; install both from one package", settings.abi_version, C.GS_ABI_VERSION))
	}
	core, err := jobs.New(embedder.Settings{KernelSet: C.GoString(&settings.kernels[0]), Threads: int(settings.threads)})
	if err != nil {
		return putError(fault, err)
	}
	for _, s := range cpu.Sets() {
		name, needs := C.CString(s.Name), C.CString(s.Lacking())
		added := C.gs_add_kernel(name, needs, boolInt(s.Name == core.Runtime().KernelSet()))
		C.free(unsafe.Pointer(name))
		C.free(unsafe.Pointer(needs))
		if added == 0 {
			return putError(fault, errs.New(errs.InternalFault, "kernels", "gs_kernel_info has no room for the kernel set %s", s.Name))
		}
	}
	C.gs_configure(settings, (*C.gs_counters)(unsafe.Pointer(core.Runtime().Ledger().Counters())))
	go dispatch(core)
	return 0
}

// gs_serve runs in a goroutine: one that C calls stays on C's thread, and would have to be woken there each time it waits.
//
//export gs_serve
func gs_serve(kernels *C.gs_str) C.int {
	status := make(chan int)
	go func() { status <- process.Serve(C.GoString((*C.char)(kernels))) }()
	return C.int(<-status)
}

func boolInt(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

const (
	// spareDispatchers wait beside the one that takes the next job, so that none has to be started for each.
	spareDispatchers = 1
	// maxTogether jobs enter after one before it runs, however fast they come.
	maxTogether = 64
)

// dispatch takes jobs, each in its own thread while it waits, and runs them where it is: a lone call goes from the JS
// thread to this one and back, without a third to wake. What has come meanwhile enters first, so that calls made
// together run together. Whoever runs a job leaves another to wait for the next.
func dispatch(core *jobs.Core) {
	for {
		taken := C.gs_take(spareDispatchers)
		if taken == nil {
			return
		}
		run := core.Enter(&job{c: taken})
		for range maxTogether {
			more := C.gs_take_more()
			if more == nil {
				break
			}
			core.Do(&job{c: more})
		}
		waiting := C.gs_entered()
		if run == nil {
			continue
		}
		if waiting == 0 {
			go dispatch(core)
		}
		run()
	}
}
