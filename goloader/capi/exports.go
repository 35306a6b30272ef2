// Package main is the core as a C library: jobs come in through gguf_stream.h's queue, goroutines do
// them with package embedder, results go back through the callback given to gs_start.
//
//	gs_submit (C, JS thread) ─▶ queue.c ─▶ dispatch (one goroutine) ─▶ handler (a goroutine a job) ─▶ gs_finish
//
// No goroutine ever runs on a JS thread. Every goroutine recovers: a panic becomes ERR_INTERNAL. Nothing
// here or below writes to stdout or stderr, uses os/signal or reads the environment.
package main

/*
#cgo CFLAGS: -O2 -std=c11 -Wall -Wextra -Werror -fvisibility=hidden
#include "queue.h"
#include <stdlib.h>
*/
import "C"

import (
	"runtime/debug"
	"strings"
	"sync/atomic"
	"unsafe"

	"gguf-stream/device/cpu"
	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
)

func main() {}

// the layout of gs_counters is memory.Counters: a negative difference does not fit a uint
const (
	_ = uint(unsafe.Sizeof(memory.Counters{}) - unsafe.Sizeof(C.gs_counters{}))
	_ = uint(unsafe.Sizeof(C.gs_counters{}) - unsafe.Sizeof(memory.Counters{}))
)

// core is the process's one instance.
type core struct {
	runtime *embedder.Runtime
	handles handles
}

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
	debug.SetGCPercent(50) // the heap is small; so stays what garbage adds
	r, err := embedder.NewRuntime(embedder.Settings{KernelSet: C.GoString(&settings.kernels[0]), Threads: int(settings.threads)})
	if err != nil {
		return putError(fault, err)
	}
	for _, s := range cpu.Sets() {
		name, needs := C.CString(s.Name), C.CString(strings.Join(s.Missing, " "))
		C.gs_add_kernel(name, needs, boolInt(s.Name == r.KernelSet()))
		C.free(unsafe.Pointer(name))
		C.free(unsafe.Pointer(needs))
	}
	C.gs_configure(settings, (*C.gs_counters)(unsafe.Pointer(r.Ledger().Counters())))
	c := &core{runtime: r}
	go c.dispatch()
	return 0
}

func boolInt(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// dispatch takes jobs for ever, in its own thread while it waits.
func (c *core) dispatch() {
	for {
		j := &job{c: C.gs_take()}
		if j.c.kind == C.GS_JOB_EMBED {
			c.embed(j) // only queues
			continue
		}
		go c.run(j)
	}
}

// handlers is the table of job kinds but GS_JOB_EMBED, which answers later.
var handlers = map[C.uint32_t]func(*core, *job) error{
	C.GS_JOB_OPEN:          (*core).open,
	C.GS_JOB_TOKENIZE:      (*core).tokenize,
	C.GS_JOB_CLOSE:         (*core).close,
	C.GS_JOB_FILE_OPEN:     (*core).fileOpen,
	C.GS_JOB_FILE_METADATA: (*core).fileMetadata,
	C.GS_JOB_FILE_TENSORS:  (*core).fileTensors,
	C.GS_JOB_FILE_PLAN:     (*core).filePlan,
	C.GS_JOB_FILE_CHUNK:    (*core).fileChunk,
	C.GS_JOB_FILE_LOAD:     (*core).fileLoad,
	C.GS_JOB_FILE_CLOSE:    (*core).close,
	C.GS_JOB_COLLECT:       (*core).collect,
}

func (c *core) run(j *job) {
	defer j.recover()
	handle, known := handlers[j.c.kind]
	if !known {
		j.finish(errs.New(errs.InternalFault, "", "job kind %d is not known", j.c.kind))
		return
	}
	j.finish(handle(c, j))
}

func (c *core) collect(*job) error {
	debug.FreeOSMemory()
	c.runtime.NoteHeap()
	return nil
}

func (c *core) open(j *job) error {
	var m openMessage
	if err := j.request(&m); err != nil {
		return err
	}
	o, err := m.options()
	if err != nil {
		return err
	}
	var progress func(loaded, total int64, tensor string)
	if j.c.wants_progress != 0 {
		progress = j.report
	}
	e, err := c.runtime.Open(o, j.cancelled(), progress)
	if err != nil {
		return err
	}
	c.runtime.NoteHeap()
	return j.reply(openReply{Handle: c.handles.add(e), Info: e.Info()})
}

func (c *core) embed(j *job) {
	defer j.recover()
	e, err := find[*embedder.Embedder](&c.handles, uint64(j.c.handle))
	if err != nil {
		j.finish(err)
		return
	}
	r := &embedder.Request{Texts: j.texts(), Cancelled: j.cancelled(), Allocate: j.floats}
	if err := j.request(&r.Options); err != nil {
		j.finish(err)
		return
	}
	r.Done = func(result *embedder.Result, err error) {
		if err == nil && r.Options.Details {
			err = j.reply(result)
		}
		j.finish(err)
	}
	e.Submit(r)
}

func (c *core) tokenize(j *job) error {
	e, err := find[*embedder.Embedder](&c.handles, uint64(j.c.handle))
	if err != nil {
		return err
	}
	var m tokenizeMessage
	if err := j.request(&m); err != nil {
		return err
	}
	ids, counts, err := e.Tokenize(j.texts(), m.CallOptions, nil)
	if err != nil {
		return err
	}
	if !m.Count {
		out, err := j.output(int64(len(ids)) * 4)
		if err != nil {
			return err
		}
		copy(unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(out))), len(ids)), ids)
	}
	return j.reply(tokenizeReply{Counts: counts})
}

// close ends embedders and files alike.
func (c *core) close(j *job) error {
	if closer, found := c.handles.remove(uint64(j.c.handle)); found {
		closer.Close()
	}
	return nil
}

// cancelled views the job's flag as Go's atomic: the same four bytes.
func (j *job) cancelled() *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&j.c.cancelled)) }
