package embedder

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/quant"
	"gguf-stream/goloader/tokenizer"
)

// text is one text of a request's window.
type text struct {
	request *Request
	index   int // in Request.Texts
	first   int // of its ids in the window
	count   int
}

// window is the part of a request that is tokenised.
type window struct {
	ids   []uint32
	texts []text // longest first
	next  int    // first text that has not run
}

// batcher turns a model's requests into runs of the device, on one goroutine while the queue holds something.
// Requests that wait together share batches: each gets an even share of the token budget, and what is left goes
// to the first; turns go round, and short requests have batches between (fill), so that a lone call waits for one
// batch of a long one, not for its end. The buffers are reused.
type batcher struct {
	model   *model
	active  []*Request
	free    []*window
	scratch tokenizer.Scratch
	joiner  joiner
	texts   []text // of the batch
	short   bool   // the batch is of short requests, beside long ones
	pooled  []float32
	batch   device.Batch
}

func (b *batcher) drain() {
	for b.model.queue.take(&b.active) {
		b.stepGuarded()
	}
}

// stepGuarded answers every active request even when something panics.
func (b *batcher) stepGuarded() {
	defer func() {
		if e := recover(); e != nil {
			for _, r := range b.active {
				b.answer(r, errs.Fault("", e))
			}
		}
		b.active = slices.DeleteFunc(b.active, b.answered)
	}()
	for _, r := range b.active {
		b.tokenize(r)
	}
	b.active = slices.DeleteFunc(b.active, b.answered)
	if len(b.active) == 0 {
		return
	}
	b.fill()
	b.run()
	clear(b.texts)
	first := b.active[0]
	copy(b.active, b.active[1:])
	b.active[len(b.active)-1] = first
}

// answered takes a request's window back when the request needs it no more.
func (b *batcher) answered(r *Request) bool {
	if w := r.window; r.left == 0 && w != nil {
		clear(w.texts)
		w.ids, w.texts, w.next = w.ids[:0], w.texts[:0], 0
		if len(b.free) < limits.KeptWindows {
			b.free = append(b.free, w)
		}
		r.window = nil
	}
	return r.left == 0
}

// answer ends a request once, with an error or with its result.
func (b *batcher) answer(r *Request, err error) {
	if r.answered {
		return
	}
	r.answered, r.left = true, 0
	r.finish(err)
}

// tokenize fills the request's window when the last one has run.
func (b *batcher) tokenize(r *Request) {
	if r.cancelled() {
		b.answer(r, errs.Cancelled(""))
		return
	}
	if err := b.refill(r); err != nil {
		b.answer(r, err)
	} else if r.left == 0 { // a request without texts
		b.answer(r, nil)
	}
}

// refill's panics are the request's alone: those beside it have nothing to do with its allocator or its texts.
func (b *batcher) refill(r *Request) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = errs.Fault("", e)
		}
	}()
	w := r.window
	if w == nil {
		if r.out, err = r.Allocate(int64(len(r.Texts)) * int64(r.finishing.Dimensions)); err != nil {
			return err
		}
		if n := len(b.free); n > 0 {
			w, b.free = b.free[n-1], b.free[:n-1]
		} else {
			w = new(window)
		}
		r.window = w
	} else if w.next < len(w.texts) {
		return nil
	}
	w.ids, w.texts, w.next = w.ids[:0], w.texts[:0], 0
	for r.next < len(r.Texts) && len(w.ids) < limits.WindowTokens {
		if err := b.encode(r, w); err != nil {
			return err
		}
	}
	slices.SortStableFunc(w.texts, longestFirst)
	return nil
}

// longestFirst: texts of like lengths share a batch, and groups that are taken last are small.
func longestFirst(x, y text) int { return cmp.Compare(y.count, x.count) }

// encode appends the next text's ids to the window.
func (b *batcher) encode(r *Request, w *window) error {
	t, err := b.joiner.join(r.prefix, r.Texts[r.next])
	if err != nil {
		return err
	}
	defer b.joiner.free()
	first, total := len(w.ids), 0
	if w.ids, total, err = b.model.tokenizer.Encode(w.ids, t, r.tokens, &b.scratch); err != nil {
		return r.named(err)
	}
	count := len(w.ids) - first
	w.texts = append(w.texts, text{r, r.next, first, count})
	r.next++
	if r.Options.Details {
		r.result.Tokens = append(r.result.Tokens, count)
		r.result.Truncated = append(r.result.Truncated, total-count)
	}
	return nil
}

// position is where the caller's list has a text of the request.
func (r *Request) position(index int) int {
	if r.Options.First != nil {
		return *r.Options.First + index
	}
	return index
}

// named is an error of the next text that says which one of the caller's list it is.
func (r *Request) named(err error) error {
	e := errs.From(err)
	if r.Options.First == nil || e.Field != "text" {
		return err
	}
	e.Field = fmt.Sprintf("texts[%d]", r.position(r.next))
	e.Message = strings.Replace(e.Message, "the text", e.Field, 1)
	return e
}

// fill chooses the texts of the next batch. Beside long requests every second one is of short ones alone, where there are any:
// they wait for the batch that runs, and not for another that is filled up.
func (b *batcher) fill() {
	b.texts = b.texts[:0]
	b.short = !b.short && b.fillShort()
	if !b.short {
		b.fillShared()
	}
	slices.SortStableFunc(b.texts, longestFirst)
}

// fillShort takes all of the short requests that pool and are limited like the first of them; none where all are short.
func (b *batcher) fillShort() bool {
	first, long, budget := (*Request)(nil), false, limits.BatchTokens
	for _, r := range b.active {
		switch {
		case !r.isShort():
			long = true
		case first == nil:
			first = r
		}
	}
	if first == nil || !long {
		return false
	}
	for _, r := range b.active {
		if r.isShort() && r.runsWith(first) {
			budget -= b.move(r.window, budget)
		}
	}
	return true
}

// isShort: what is left of the request is half a batch or less.
func (r *Request) isShort() bool {
	tokens := 0
	for _, t := range r.window.texts[r.window.next:] {
		if tokens += t.count; tokens > limits.BatchTokens/2 {
			return false
		}
	}
	return r.next == len(r.Texts)
}

// fillShared gives each request that pools and is limited like the first an even share; the first has at least one text in it.
func (b *batcher) fillShared() {
	first, like := b.active[0], 0
	for _, r := range b.active {
		if r.runsWith(first) {
			like++
		}
	}
	share := limits.BatchTokens / like
	budget := limits.BatchTokens - b.move(first.window, max(share, first.window.texts[first.window.next].count))
	for _, r := range b.active[1:] {
		if r.runsWith(first) {
			budget -= b.move(r.window, min(budget, share))
		}
	}
	for _, r := range b.active {
		if r.runsWith(first) {
			budget -= b.move(r.window, budget)
		}
	}
}

// move takes texts of at most `tokens` tokens together from the window into the batch.
func (b *batcher) move(w *window, tokens int) (moved int) {
	for w.next < len(w.texts) && moved+w.texts[w.next].count <= tokens {
		moved += w.texts[w.next].count
		b.texts = append(b.texts, w.texts[w.next])
		w.next++
	}
	return moved
}

func (r *Request) runsWith(o *Request) bool {
	return r.embedder.pooling == o.embedder.pooling && r.embedder.threads == o.embedder.threads
}

// run embeds the batch and answers requests whose last text is in it.
func (b *batcher) run() {
	ids, offsets := b.batch.IDs[:0], append(b.batch.Offsets[:0], 0)
	for _, t := range b.texts {
		ids = append(ids, t.request.window.ids[t.first:][:t.count]...)
		offsets = append(offsets, uint32(len(ids)))
	}
	h := b.model.config.HiddenSize
	b.pooled = slices.Grow(b.pooled[:0], len(b.texts)*h)[:len(b.texts)*h]
	e := b.texts[0].request.embedder
	b.batch = device.Batch{IDs: ids, Offsets: offsets, Out: b.pooled, Pooling: e.pooling, Threads: e.threads, Cancelled: b.soleCancel()}
	err := b.model.forward(&b.batch)
	for i, t := range b.texts {
		if err != nil {
			b.answer(t.request, err)
		} else {
			b.deliver(t, b.pooled[i*h:][:h])
		}
	}
}

// deliver finishes a text's vector.
func (b *batcher) deliver(t text, pooled []float32) {
	r := t.request
	if r.left == 0 { // failed with an earlier text: its output is no longer ours
		return
	}
	if r.cancelled() {
		b.answer(r, errs.Cancelled(""))
		return
	}
	d := r.finishing.Dimensions
	vector := r.out[t.index*d:][:d]
	encoder.Finish(vector, pooled, r.finishing)
	if quant.FirstNonFinite(vector) >= 0 {
		b.answer(r, errs.New(errs.GGUFNonFinite, "vector", "the vector of text %d has no finite values: the model's weights are finite, but damaged", r.position(t.index)))
		return
	}
	if r.left--; r.left == 0 {
		b.answer(r, nil)
	}
}

// soleCancel is the flag that may stop a whole run: only one request's texts are in it.
func (b *batcher) soleCancel() *atomic.Uint32 {
	first := b.texts[0].request
	for _, t := range b.texts {
		if t.request != first {
			return nil
		}
	}
	return first.Cancelled
}
