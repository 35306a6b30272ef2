package embedder

import (
	"slices"
	"sync"
	"sync/atomic"

	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/tokenizer"
)

// Request is one call: texts in, vectors out.
type Request struct {
	Texts     [][]byte // valid until Done
	Options   CallOptions
	Cancelled *atomic.Uint32 // may be nil
	// Allocate gives the output, [texts, dimensions] float32, which the caller owns.
	Allocate func(values int64) ([]float32, error)
	// Done is called exactly once: on a goroutine of the model, or, where nothing is run, on one that submits or closes.
	Done func(*Result, error)

	embedder  *Embedder
	finishing encoder.Finishing
	tokens    tokenizer.Options
	prefix    []byte
	out       []float32
	left      int // texts without a vector yet; 0 when answered
	answered  bool
	window    *window // texts tokenised, not yet run; nil before
	next      int     // first text that is not tokenised
	result    Result
}

// Result tells more than the vectors, with CallOptions.Details.
type Result struct {
	Dimensions int   `json:"-"`
	Tokens     []int `json:"tokens,omitempty"`
	Truncated  []int `json:"truncated,omitempty"` // tokens cut off
}

// Waiting is a call in a queue. A full queue has 65,536 of them and the Go heap 10 MB, so that the request, which is several
// times as large, is made when its turn comes.
type Waiting struct {
	Maker     RequestMaker
	Texts     int
	Cancelled *atomic.Uint32 // may be nil
	embedder  *Embedder
}

// RequestMaker makes the request of a call that waits, once, to be run or only to be answered. With an error, too, it gives
// a request, which is answered so.
type RequestMaker interface {
	MakeRequest() (*Request, error)
}

// MakeRequest implements RequestMaker: the request is made already.
func (r *Request) MakeRequest() (*Request, error) { return r, nil }

// queue is a model's waiting calls; its batcher drains it while there are any.
type queue struct {
	mu      sync.Mutex
	waiting []Waiting
	texts   int // of those that wait
	running bool
	taken   []Waiting // scratch of the one who drains
}

// Submit queues the request and returns at once; an idle model starts at once.
func (e *Embedder) Submit(r *Request) {
	if run := e.Enqueue(r.waiting()); run != nil {
		go run()
	}
}

func (r *Request) waiting() Waiting {
	return Waiting{Maker: r, Texts: len(r.Texts), Cancelled: r.Cancelled}
}

// Enqueue queues a call. Where the model was idle the caller has to call run, which returns when nothing is queued
// any more; else run is nil.
func (e *Embedder) Enqueue(w Waiting) (run func()) {
	w.embedder = e
	if err := e.enter(); err != nil {
		r, _ := w.Maker.MakeRequest()
		r.Done(nil, err)
		return nil
	}
	q := &e.model.queue
	start, err := q.put(w)
	if err != nil { // the cancelled ones keep nobody out
		q.answerCancelled()
		start, err = q.put(w)
	}
	if err != nil {
		w.finish(err)
	}
	if !start {
		return nil
	}
	return e.model.batcher.drain
}

// begin makes the request; nil if it is answered already.
func (w Waiting) begin() *Request {
	r, err := w.Maker.MakeRequest()
	if r.embedder = w.embedder; err == nil {
		err = w.embedder.prepare(r)
	}
	if err != nil {
		r.finish(err)
		return nil
	}
	return r
}

// finish answers a call that has entered and will not be run.
func (w Waiting) finish(err error) {
	r, _ := w.Maker.MakeRequest()
	r.embedder = w.embedder
	r.finish(err)
}

func (w Waiting) cancelled() bool { return errs.GaveUp(w.Cancelled) }

func (e *Embedder) prepare(r *Request) (err error) {
	if r.finishing, err = e.finishing(&r.Options); err != nil {
		return err
	}
	prefix, err := e.prefix(&r.Options)
	if err != nil {
		return err
	}
	r.prefix, r.tokens, r.left = []byte(prefix), e.tokenOptions(&r.Options), len(r.Texts)
	r.tokens.Cancelled = r.Cancelled
	r.result.Dimensions = r.finishing.Dimensions
	return nil
}

// finish answers a request that has entered.
func (r *Request) finish(err error) {
	e := r.embedder
	if err != nil {
		r.Done(nil, err)
	} else {
		r.Done(&r.result, nil)
	}
	e.pending.Done()
}

func (r *Request) cancelled() bool { return errs.GaveUp(r.Cancelled) }

// put lets the call wait, or refuses it with ERR_BUSY; start says that nobody drains the queue yet.
func (q *queue) put(w Waiting) (start bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.texts+w.Texts > limits.MaxQueuedTexts && q.texts > 0 {
		return false, errs.New(errs.Busy, "", "%d texts are queued; at most %d may be", q.texts, limits.MaxQueuedTexts)
	}
	q.waiting = append(q.waiting, w)
	q.texts += w.Texts
	start, q.running = !q.running, true
	return start, nil
}

// take appends to active what waits, in order, while active requests have fewer texts left than keep the device
// busy for long; the rest can still be rejected. Cancelled calls are answered whatever is before them. Without
// anything to do the queue stops running: `active` is then the next drain's.
func (q *queue) take(active *[]*Request) (running bool) {
	q.answerCancelled()
	q.pop(*active)
	for i := range q.taken {
		if r := q.taken[i].begin(); r != nil {
			*active = append(*active, r)
		}
	}
	clear(q.taken)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = len(*active) > 0 || len(q.waiting) > 0
	return q.running
}

// pop moves from waiting to taken what may run beside the active requests.
func (q *queue) pop(active []*Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := 0
	for _, r := range active {
		left += r.left
	}
	n := 0
	for n < len(q.waiting) && left < limits.BatchTokens && len(active)+n < limits.ActiveRequests {
		left += q.waiting[n].Texts
		q.texts -= q.waiting[n].Texts
		n++
	}
	q.taken = append(q.taken[:0], q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
}

// reject answers what an Embedder has queued.
func (q *queue) reject(e *Embedder) {
	for _, w := range q.remove(func(w Waiting) bool { return w.embedder == e }) {
		w.finish(errs.New(errs.Closed, "", "the embedder was closed"))
	}
}

// answerCancelled answers what nobody wants any more.
func (q *queue) answerCancelled() {
	for _, w := range q.remove(Waiting.cancelled) {
		w.finish(errs.Cancelled(""))
	}
}

// remove takes calls out; their texts count no more. They are the caller's to answer, which is done without the lock.
func (q *queue) remove(which func(Waiting) bool) (removed []Waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(w Waiting) bool {
		if !which(w) {
			return false
		}
		removed = append(removed, w)
		q.texts -= w.Texts
		return true
	})
	return removed
}
