package main

/*
#include "queue.h"
#include <stdlib.h>
#include <string.h>
*/
import "C"

import (
	"encoding/json"
	"sync/atomic"
	"unsafe"

	"gguf-stream/goloader/errs"
)

// job is a gs_job under way. finish hands it back; nothing may touch it afterwards.
type job struct {
	c        *C.gs_job
	finished atomic.Bool
}

// request decodes the JSON; an absent one leaves the zero value.
func (j *job) request(into any) error {
	if j.c.request_size == 0 {
		return nil
	}
	raw := unsafe.Slice((*byte)(unsafe.Pointer(j.c.request)), int(j.c.request_size))
	if err := json.Unmarshal(raw, into); err != nil {
		return errs.Wrap(err, errs.InternalFault, "request", errs.NoOffset, "the request cannot be read")
	}
	return nil
}

// texts views the job's texts; valid until finish.
func (j *job) texts() [][]byte {
	n := int(j.c.text_count)
	ends := unsafe.Slice((*uint64)(unsafe.Pointer(j.c.text_ends)), n)
	all := unsafe.Slice((*byte)(unsafe.Pointer(j.c.texts)), int(j.c.texts_size))
	texts := make([][]byte, n)
	first := uint64(0)
	for i, end := range ends {
		texts[i] = all[first:end]
		first = end
	}
	return texts
}

// output makes the job's output buffer.
func (j *job) output(bytes int64) ([]byte, error) {
	if C.gs_output_new(&j.c.output, C.uint64_t(bytes)) != 0 {
		return nil, errs.New(errs.MemoryAllocation, "output", "%d bytes for the result", bytes)
	}
	return unsafe.Slice((*byte)(j.c.output.data), int(bytes)), nil
}

func (j *job) floats(n int64) ([]float32, error) {
	b, err := j.output(n * 4)
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), int(n)), err
}

// reply encodes the JSON into C memory.
func (j *job) reply(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return errs.Wrap(err, errs.InternalFault, "reply", errs.NoOffset, "the reply cannot be written")
	}
	j.c.reply = (*C.char)(C.CBytes(raw))
	j.c.reply_size = C.uint64_t(len(raw))
	return nil
}

func (j *job) report(loaded, total int64, tensor string) {
	name := C.CString(tensor)
	defer C.free(unsafe.Pointer(name))
	C.gs_report(j.c, C.uint64_t(loaded), C.uint64_t(total), name)
}

// finish hands the job back, once.
func (j *job) finish(err error) {
	if j.finished.Swap(true) {
		return
	}
	if err != nil {
		C.gs_output_free(j.c.output.data, j.c.output.size)
		j.c.output = C.gs_output{}
		j.c.status = putError(&j.c.error, err)
	}
	C.gs_finish(j.c)
}

// recover is deferred at the top of every goroutine that holds a job.
func (j *job) recover() {
	if e := recover(); e != nil {
		j.finish(errs.New(errs.InternalFault, "", "a fault of this library, please report it: %v", e))
	}
}

// putError fills in a gs_error and returns its status.
func putError(to *C.gs_error, err error) C.int32_t {
	e := errs.From(err)
	to.offset = C.int64_t(e.Offset)
	putString(to.code[:], string(e.Code))
	putString(to.kind[:], string(e.Kind()))
	putString(to.field[:], e.Field)
	putString(to.message[:], e.Message)
	return 1
}

// putString cuts at a character's start and ends with NUL.
func putString(to []C.char, s string) {
	n := min(len(s), len(to)-1)
	for n < len(s) && n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	for i := range n {
		to[i] = C.char(s[i])
	}
	to[n] = 0
}
