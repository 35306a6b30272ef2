package main

/*
#include <queue.h>
#include <stdlib.h>
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/jobs"
)

// job is a gs_job under way, as jobs.Call.
type job struct{ c *C.gs_job }

func (j *job) Kind() jobs.Kind { return jobs.Kind(j.c.kind) }

func (j *job) Owner() uint64 { return uint64(j.c.owner) }

func (j *job) Handle() uint64 { return uint64(j.c.handle) }

func (j *job) Request() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(j.c.request)), int(j.c.request_size))
}

func (j *job) TextCount() int { return int(j.c.text_count) }

// Texts views the job's texts.
func (j *job) Texts() [][]byte {
	n := int(j.c.text_count)
	ends := unsafe.Slice((*uint64)(unsafe.Pointer(j.c.text_ends)), n)
	all := unsafe.Slice((*byte)(unsafe.Pointer(j.c.texts)), int(j.c.texts_size))
	return jobs.SplitTexts(all, ends)
}

// Cancelled views the job's flag as Go's atomic: the same four bytes.
func (j *job) Cancelled() *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&j.c.cancelled)) }

func (j *job) Progress() func(loaded, total int64, tensor string) {
	if j.c.wants_progress == 0 {
		return nil
	}
	return func(loaded, total int64, tensor string) {
		name := C.CString(tensor)
		defer C.free(unsafe.Pointer(name))
		C.gs_report(j.c, C.uint64_t(loaded), C.uint64_t(total), name)
	}
}

func (j *job) Output(bytes int64) ([]byte, error) {
	if C.gs_output_new(&j.c.output, C.uint64_t(bytes)) != 0 {
		return nil, errs.New(errs.MemoryAllocation, "output", "%d bytes for the result", bytes)
	}
	return unsafe.Slice((*byte)(j.c.output.data), int(bytes)), nil
}

// Reply copies the JSON into C memory.
func (j *job) Reply(json []byte) {
	j.c.reply = (*C.char)(C.CBytes(json))
	j.c.reply_size = C.uint64_t(len(json))
}

func (j *job) Finish(err error) {
	if err != nil {
		C.gs_output_free(j.c.output.data, j.c.output.size)
		j.c.output = C.gs_output{}
		j.c.status = putError(&j.c.error, err)
	}
	C.gs_finish(j.c)
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
