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

// queue is a model's waiting requests; its batcher drains it while there are any.
type queue struct {
	mu      sync.Mutex
	waiting []*Request
	texts   int
	running bool
}

// Submit queues the request and returns at once; an idle model starts at once.
func (e *Embedder) Submit(r *Request) {
	if run := e.Enqueue(r); run != nil {
		go run()
	}
}

// Enqueue queues the request. Where the model was idle the caller has to call run, which returns when nothing is queued
// any more; else run is nil.
func (e *Embedder) Enqueue(r *Request) (run func()) {
	if err := e.prepare(r); err != nil {
		r.Done(nil, err)
		return nil
	}
	if err := e.enter(); err != nil {
		r.Done(nil, err)
		return nil
	}
	q := &e.model.queue
	start, err := q.put(r)
	if err != nil { // the cancelled ones keep nobody out
		q.answerCancelled()
		start, err = q.put(r)
	}
	if err != nil {
		r.finish(err)
	}
	if !start {
		return nil
	}
	return e.model.batcher.drain
}

func (e *Embedder) prepare(r *Request) (err error) {
	r.embedder = e
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

// put lets the request wait, or refuses it with ERR_BUSY; start says that nobody drains the queue yet.
func (q *queue) put(r *Request) (start bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.texts+len(r.Texts) > limits.MaxQueuedTexts && q.texts > 0 {
		return false, errs.New(errs.Busy, "", "%d texts are queued; at most %d may be", q.texts, limits.MaxQueuedTexts)
	}
	q.waiting = append(q.waiting, r)
	q.texts += len(r.Texts)
	start, q.running = !q.running, true
	return start, nil
}

// take appends to active what waits, in order, while active requests have fewer texts left than keep the device
// busy for long; the rest can still be rejected. Cancelled requests are answered whatever is before them. Without
// anything to do the queue stops running: `active` is then the next drain's.
func (q *queue) take(active *[]*Request) (running bool) {
	q.answerCancelled()
	q.mu.Lock()
	defer q.mu.Unlock()
	left := 0
	for _, r := range *active {
		left += r.left
	}
	n := 0
	for n < len(q.waiting) && left < limits.BatchTokens && len(*active) < limits.ActiveRequests {
		r := q.waiting[n]
		*active = append(*active, r)
		left += r.left
		q.texts -= len(r.Texts)
		n++
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.running = len(*active) > 0
	return q.running
}

// reject answers what an Embedder has queued.
func (q *queue) reject(e *Embedder) {
	for _, r := range q.remove(func(r *Request) bool { return r.embedder == e }) {
		r.finish(errs.New(errs.Closed, "", "the embedder was closed"))
	}
}

// answerCancelled answers what nobody wants any more.
func (q *queue) answerCancelled() {
	for _, r := range q.remove((*Request).cancelled) {
		r.finish(errs.Cancelled(""))
	}
}

// remove takes requests out; their texts count no more. They are the caller's to answer, which is done without the lock.
func (q *queue) remove(which func(*Request) bool) (removed []*Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(r *Request) bool {
		if !which(r) {
			return false
		}
		removed = append(removed, r)
		q.texts -= len(r.Texts)
		return true
	})
	return removed
}
