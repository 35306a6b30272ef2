// Package jobs does what JavaScript asks for: one handler a job kind, whatever carried the job here.
//
//	capi (C queue, in the host's process) ──▶ Call ─┐
//	                                                ├─▶ Core.Enter ─▶ handler ─▶ embedder ─▶ Call.Finish
//	process (frames over pipes, a child)  ──▶ Call ─┘
//
// A handler runs where its carrier took the job (Enter), or on a goroutine of its own (Do).
// A carrier gives the inputs, makes the memory of the result where it needs it, and takes the result back;
// nothing here knows C, pipes or JS. Every goroutine recovers: a panic becomes ERR_INTERNAL.
package jobs

import (
	"encoding/json"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
)

// Kind says what a job asks for: gs_job_kind in gguf_stream.h, Kind in js/kinds.js.
type Kind uint32

// The job kinds.
const (
	Open Kind = 1 + iota
	Embed
	Tokenize
	Close
	FileOpen
	FileMetadata
	FileTensors
	FilePlan
	FileChunk
	FileLoad
	FileClose
	_ // 12 is free
	Output
	Look
	End
	Verify
	Diagnose
	Peak
)

// Call is one job as its carrier holds it. What Request and Texts view stays valid until Finish.
type Call interface {
	Kind() Kind
	Owner() uint64  // who asks; End closes all that it has opened
	Handle() uint64 // of an embedder or a file; 0 if none
	Request() []byte
	TextCount() int
	Texts() [][]byte
	Cancelled() *atomic.Uint32
	// Progress is where an Open reports to, nil if nobody listens.
	Progress() func(loaded, total int64, tensor string)
	// Output makes the result's memory, 8-byte aligned; it is dropped if Finish gets an error.
	Output(bytes int64) ([]byte, error)
	Reply(json []byte)
	// Finish hands the job back, once; nothing may touch it afterwards.
	Finish(err error)
}

// Core is a process's one instance.
type Core struct {
	runtime *embedder.Runtime
	handles handles
}

// New starts the core.
func New(s embedder.Settings) (*Core, error) {
	debug.SetGCPercent(50) // the heap is small; so stays what garbage adds
	r, err := embedder.NewRuntime(s)
	return &Core{runtime: r}, err
}

// Runtime holds the ledger and the kernel set.
func (c *Core) Runtime() *embedder.Runtime { return c.runtime }

// Do takes a job and returns at once.
func (c *Core) Do(call Call) {
	if run := c.Enter(call); run != nil {
		go run()
	}
}

// Enter takes a job and returns at once with what is left to do, nil if others do it: the caller runs it, where it does
// not mind to wait. Embeds enter their model's queue in the order of the calls; who runs one runs all that wait.
func (c *Core) Enter(call Call) (run func()) {
	j := &job{Call: call}
	if call.Kind() == Embed {
		return c.embed(j)
	}
	return func() { c.run(j) }
}

// handlers is the table of job kinds but Embed, which answers later.
var handlers = map[Kind]func(*Core, *job) error{
	Open:         (*Core).open,
	Tokenize:     (*Core).tokenize,
	Close:        (*Core).close,
	FileOpen:     (*Core).fileOpen,
	FileMetadata: (*Core).fileMetadata,
	FileTensors:  (*Core).fileTensors,
	FilePlan:     (*Core).filePlan,
	FileChunk:    (*Core).fileChunk,
	FileLoad:     (*Core).fileLoad,
	FileClose:    (*Core).close,
	Verify:       (*Core).verify,
	Diagnose:     (*Core).diagnose,
	Peak:         (*Core).peak,
	Output:       (*Core).output,
	Look:         (*Core).look,
	End:          (*Core).end,
}

func (c *Core) run(j *job) {
	defer j.recover()
	handle, known := handlers[j.Kind()]
	if !known {
		j.finish(errs.New(errs.InternalFault, "", "job kind %d is not known", j.Kind()))
		return
	}
	j.finish(handle(c, j))
}

// output makes memory that the results of many jobs are put into, after a look whether it fits.
func (c *Core) output(j *job) error {
	var m outputMessage
	if err := j.request(&m); err != nil {
		return err
	}
	grant, err := c.runtime.Monitor().TryAllocate(m.Bytes, m.MemoryLimit, "output")
	if err != nil {
		return err
	}
	defer grant.Release() // from here on the ledger counts it
	_, err = j.Output(m.Bytes)
	return err
}

func (c *Core) look(*job) error {
	c.runtime.Monitor().Look()
	return nil
}

func (c *Core) end(j *job) error {
	for _, closer := range c.handles.removeOf(j.Owner()) {
		closer.Close()
	}
	return nil
}

func (c *Core) verify(j *job) error {
	var m openMessage
	if err := j.request(&m); err != nil {
		return err
	}
	report, err := c.runtime.Verify(m.Path, j.Cancelled())
	if err != nil {
		return err
	}
	return j.reply(report)
}

func (c *Core) diagnose(j *job) error { return j.reply(c.runtime.Diagnose()) }

func (c *Core) peak(j *job) error {
	e, err := find[*embedder.Embedder](&c.handles, j.Handle())
	if err != nil {
		return err
	}
	var m peakMessage
	if err := j.request(&m); err != nil {
		return err
	}
	report, err := e.Peak(m.each(), j.Cancelled())
	if err != nil {
		return err
	}
	return j.reply(report)
}

func (c *Core) open(j *job) error {
	var m openMessage
	if err := j.request(&m); err != nil {
		return err
	}
	o, err := m.options()
	if err != nil {
		return err
	}
	e, err := c.runtime.Open(o, j.Cancelled(), j.Progress())
	if err != nil {
		return err
	}
	c.runtime.NoteHeap()
	return j.reply(openReply{Handle: c.handles.add(j.Owner(), e), Info: e.Info()})
}

func (c *Core) embed(j *job) (run func()) {
	defer j.recover()
	e, err := find[*embedder.Embedder](&c.handles, j.Handle())
	if err != nil {
		j.finish(err)
		return nil
	}
	return e.Enqueue(embedder.Waiting{Maker: j, Texts: j.TextCount(), Cancelled: j.Cancelled()})
}

// MakeRequest implements embedder.RequestMaker. It runs on the model's goroutine, where others' requests are: a panic is this one's error.
func (j *job) MakeRequest() (r *embedder.Request, err error) {
	r = &embedder.Request{Cancelled: j.Cancelled(), Allocate: j.floats}
	r.Done = func(result *embedder.Result, err error) {
		if err == nil && r.Options.Details {
			err = j.reply(result)
		}
		j.finish(err)
	}
	defer func() {
		if e := recover(); e != nil {
			err = errs.Fault("", e)
		}
	}()
	if err = j.request(&r.Options); err == nil {
		r.Texts = j.Texts()
	}
	return r, err
}

func (c *Core) tokenize(j *job) error {
	e, err := find[*embedder.Embedder](&c.handles, j.Handle())
	if err != nil {
		return err
	}
	var m tokenizeMessage
	if err := j.request(&m); err != nil {
		return err
	}
	allocate := j.ids
	if m.Count {
		allocate = nil
	}
	_, counts, err := e.Tokenize(j.Texts(), m.CallOptions, j.Cancelled(), allocate)
	if err != nil {
		return err
	}
	return j.reply(tokenizeReply{Counts: counts})
}

// close ends embedders and files alike.
func (c *Core) close(j *job) error {
	if closer, found := c.handles.remove(j.Handle()); found {
		closer.Close()
	}
	return nil
}

// job is a Call that is finished only once.
type job struct {
	Call
	finished atomic.Bool
}

func (j *job) finish(err error) {
	if !j.finished.Swap(true) {
		j.Finish(err)
	}
}

// recover is deferred at the top of every goroutine that holds a job.
func (j *job) recover() {
	if e := recover(); e != nil {
		j.finish(errs.Fault("", e))
	}
}

// request decodes the JSON; an absent one leaves the zero value.
func (j *job) request(into any) error {
	raw := j.Request()
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errs.Wrap(err, errs.InternalFault, "request", errs.NoOffset, "the request cannot be read")
	}
	return nil
}

func (j *job) reply(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return errs.Wrap(err, errs.InternalFault, "reply", errs.NoOffset, "the reply cannot be written")
	}
	j.Reply(raw)
	return nil
}

func (j *job) floats(n int64) ([]float32, error) { return outputOf[float32](j, n) }

func (j *job) ids(n int64) ([]uint32, error) { return outputOf[uint32](j, n) }

// outputOf makes the memory of a result of n numbers of four bytes.
func outputOf[T float32 | uint32](j *job, n int64) ([]T, error) {
	b, err := j.Output(n * 4)
	if err != nil {
		return nil, err // before the slice: one of nil and a length panics
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), int(n)), nil
}

// SplitTexts views the texts that stand one after another in all, each ending at its number in ends.
func SplitTexts(all []byte, ends []uint64) [][]byte {
	texts := make([][]byte, len(ends))
	first := uint64(0)
	for i, end := range ends {
		texts[i] = all[first:end]
		first = end
	}
	return texts
}
