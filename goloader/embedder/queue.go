package embedder

import (
	"cmp"
	"slices"
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tokenizer"
)

// Request is one call: texts in, vectors out.
type Request struct {
	Texts     [][]byte // valid until Done
	Options   CallOptions
	Cancelled *atomic.Uint32 // may be nil
	// Allocate gives the output, [texts, dimensions] float32, which the caller owns.
	Allocate func(values int64) ([]float32, error)
	// Done is called exactly once, on a goroutine of the model.
	Done func(*Result, error)

	embedder  *Embedder
	finishing encoder.Finishing
	tokens    tokenizer.Options
	prefix    []byte
	out       []float32
	left      int // texts without a vector yet
	result    Result
}

// Result tells more than the vectors, with CallOptions.Details.
type Result struct {
	Dimensions int   `json:"-"`
	Tokens     []int `json:"tokens,omitempty"`
	Truncated  []int `json:"truncated,omitempty"` // tokens cut off
}

// Submit queues the request and returns at once; an idle model starts at once.
func (e *Embedder) Submit(r *Request) {
	if err := e.prepare(r); err != nil {
		r.Done(nil, err)
		return
	}
	if err := e.enter(); err != nil {
		r.Done(nil, err)
		return
	}
	q := &e.model.queue
	q.mu.Lock()
	if q.texts+len(r.Texts) > limits.MaxQueuedTexts && q.texts > 0 {
		q.mu.Unlock()
		r.finish(errs.New(errs.Busy, "", "%d texts are queued; at most %d may be", q.texts, limits.MaxQueuedTexts))
		return
	}
	q.waiting = append(q.waiting, r)
	q.texts += len(r.Texts)
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		go e.model.drain()
	}
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

func (r *Request) cancelled() bool { return r.Cancelled != nil && r.Cancelled.Load() != 0 }

// take removes what waits, up to a number of texts that keeps the device busy: those run together.
func (q *queue) take() []*Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, texts := 0, 0
	for n < len(q.waiting) && (n == 0 || texts < limits.BatchTokens) {
		texts += len(q.waiting[n].Texts)
		n++
	}
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.texts -= texts
	q.running = n > 0
	return taken
}

// reject answers what an Embedder has queued.
func (q *queue) reject(e *Embedder) {
	q.mu.Lock()
	var gone []*Request
	q.waiting = slices.DeleteFunc(q.waiting, func(r *Request) bool {
		if r.embedder == e {
			gone = append(gone, r)
			q.texts -= len(r.Texts)
			return true
		}
		return false
	})
	q.mu.Unlock()
	for _, r := range gone {
		r.finish(errs.New(errs.Closed, "", "the embedder was closed"))
	}
}

// drain runs requests until the queue is empty.
func (m *model) drain() {
	b := &batcher{model: m}
	for {
		taken := m.queue.take()
		if len(taken) == 0 {
			return
		}
		b.runGuarded(taken)
	}
}

// text is one text of a request, tokenised.
type text struct {
	request *Request
	index   int
	first   int // of its ids in batcher.ids
	count   int
}

// batcher turns requests into runs of the device. Its buffers are reused while the queue is drained.
type batcher struct {
	model   *model
	scratch tokenizer.Scratch
	ids     []uint32
	texts   []text
	joined  []byte
	pooled  []float32
	batch   device.Batch
}

// runGuarded answers every request even when something panics.
func (b *batcher) runGuarded(requests []*Request) {
	defer func() {
		if e := recover(); e != nil {
			for _, r := range requests {
				if r.left > 0 {
					r.left = 0
					r.finish(errs.New(errs.InternalFault, "", "a fault of this library, please report it: %v", e))
				}
			}
		}
	}()
	b.ids, b.texts = b.ids[:0], b.texts[:0]
	for _, r := range requests {
		if err := b.tokenize(r); err != nil {
			b.drop(r, err)
		}
	}
	// longest first: texts of like lengths share a batch, and the last batches are the short ones
	slices.SortStableFunc(b.texts, func(x, y text) int { return cmp.Compare(y.count, x.count) })
	for i := 0; i < len(b.texts); {
		end := b.cut(i)
		b.run(b.texts[i:end])
		i = end
	}
}

// drop answers a request with an error and forgets its texts.
func (b *batcher) drop(r *Request, err error) {
	if r.left < 0 {
		return
	}
	r.left = -1
	b.texts = slices.DeleteFunc(b.texts, func(t text) bool { return t.request == r })
	r.finish(err)
}

func (b *batcher) tokenize(r *Request) error {
	if r.cancelled() {
		return errs.New(errs.Aborted, "", "the call was cancelled")
	}
	var err error
	if r.out, err = r.Allocate(int64(len(r.Texts)) * int64(r.finishing.Dimensions)); err != nil {
		return err
	}
	for i, t := range r.Texts {
		if len(r.prefix) > 0 {
			b.joined = append(append(b.joined[:0], r.prefix...), t...)
			t = b.joined
		}
		first, total := len(b.ids), 0
		if b.ids, total, err = b.model.tokenizer.Encode(b.ids, t, r.tokens, &b.scratch); err != nil {
			return err
		}
		count := len(b.ids) - first
		b.texts = append(b.texts, text{r, i, first, count})
		if r.Options.Details {
			r.result.Tokens = append(r.result.Tokens, count)
			r.result.Truncated = append(r.result.Truncated, total-count)
		}
	}
	if len(r.Texts) == 0 {
		r.finish(nil)
	}
	return nil
}

// cut is the end of the batch that begins at text i: the token budget, at least one text, one pooling.
func (b *batcher) cut(i int) int {
	tokens, end := 0, i
	for end < len(b.texts) && (end == i || tokens+b.texts[end].count <= limits.BatchTokens) {
		if b.texts[end].request.embedder != b.texts[i].request.embedder {
			break
		}
		tokens += b.texts[end].count
		end++
	}
	return end
}

// run embeds some texts and finishes requests whose last text this was.
func (b *batcher) run(texts []text) {
	ids := b.batch.IDs[:0]
	offsets := append(b.batch.Offsets[:0], 0)
	var live []text
	for _, t := range texts {
		if t.request.left <= 0 {
			continue // dropped
		}
		ids = append(ids, b.ids[t.first:t.first+t.count]...)
		offsets = append(offsets, uint32(len(ids)))
		live = append(live, t)
	}
	b.batch.IDs, b.batch.Offsets = ids, offsets
	if len(live) == 0 {
		return
	}
	h := b.model.config.HiddenSize
	b.pooled = slices.Grow(b.pooled[:0], len(live)*h)[:len(live)*h]
	e := live[0].request.embedder
	b.batch.Out, b.batch.Pooling, b.batch.Threads, b.batch.Cancelled = b.pooled, e.pooling, e.threads, soleCancel(live)
	err := b.model.forward(&b.batch)
	for i, t := range live {
		r := t.request
		if err != nil || r.cancelled() {
			b.fail(r, err)
			continue
		}
		if r.left <= 0 { // failed with an earlier text: its output is no longer ours
			continue
		}
		d := r.finishing.Dimensions
		vector := r.out[t.index*d:][:d]
		encoder.Finish(vector, b.pooled[i*h:][:h], r.finishing)
		if quant.FirstNonFinite(vector) >= 0 {
			b.fail(r, errs.New(errs.GGUFNonFinite, "vector", "the vector of text %d has no finite values: the model's weights are finite, but damaged", t.index))
			continue
		}
		if r.left--; r.left == 0 {
			r.finish(nil)
		}
	}
}

// fail answers a request once; its other texts are passed over.
func (b *batcher) fail(r *Request, err error) {
	if r.left <= 0 {
		return
	}
	r.left = -1
	if err == nil {
		err = errs.New(errs.Aborted, "", "the call was cancelled")
	}
	r.finish(err)
}

// soleCancel is the flag that may stop a whole run: only one request's texts are in it.
func soleCancel(texts []text) *atomic.Uint32 {
	for _, t := range texts {
		if t.request != texts[0].request {
			return nil
		}
	}
	return texts[0].request.Cancelled
}
