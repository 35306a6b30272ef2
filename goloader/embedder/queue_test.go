package embedder

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// TestALoneCallOvertakesALongOne: requests share batches, so that a short one waits for a batch, not for the end.
func TestALoneCallOvertakesALongOne(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	text := []byte(strings.Repeat("word ", 60))
	order := make(chan string, 3)
	submit := func(name string, texts [][]byte, cancelled *atomic.Uint32) {
		var out []float32
		e.Submit(&Request{Texts: texts, Cancelled: cancelled,
			Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil },
			Done: func(_ *Result, err error) {
				order <- name
				if cancelled == nil && err != nil || cancelled != nil && !isCode(err, errs.Aborted) {
					t.Errorf("%s: %v", name, err)
				}
			}})
	}
	stop := new(atomic.Uint32)
	submit("long", slices.Repeat([][]byte{text}, 60), nil)
	submit("cancelled", slices.Repeat([][]byte{text}, 60), stop)
	submit("short", [][]byte{text}, nil)
	stop.Store(1)
	require.ElementsMatch(t, []string{"cancelled", "short"}, []string{<-order, <-order})
	require.Equal(t, "long", <-order)
}

// TestShortCallsHaveBatchesOfTheirOwn beside long ones, every second; among themselves they share all.
func TestShortCallsHaveBatchesOfTheirOwn(t *testing.T) {
	e := new(Embedder)
	request := func(texts, tokens int) *Request {
		r := &Request{Texts: make([][]byte, texts), next: texts, embedder: e, window: new(window)}
		for i := range texts {
			r.window.texts = append(r.window.texts, text{r, i, 0, tokens})
		}
		return r
	}
	taken := func(b *batcher) map[*Request]int {
		b.fill()
		n := map[*Request]int{}
		for _, x := range b.texts {
			n[x.request]++
		}
		return n
	}
	long, short, other, late := request(20, 512), request(1, 16), request(2, 200), request(1, 16)
	b := &batcher{active: []*Request{long, short, other}}
	require.Equal(t, map[*Request]int{short: 1, other: 2}, taken(b))
	b.active = []*Request{long, late}
	require.Equal(t, map[*Request]int{long: 1, late: 1}, taken(b), "the long one's turn, which is shared")
	late = request(1, 16)
	b.active = []*Request{long, late}
	require.Equal(t, map[*Request]int{late: 1}, taken(b))
	b.active = []*Request{long}
	require.Equal(t, map[*Request]int{long: 2}, taken(b))
	b.active = []*Request{request(1, 16), request(3, 16)}
	require.Len(t, taken(b), 2, "all are short")
	unfinished := request(1, 16)
	unfinished.Texts = make([][]byte, 2)
	b.active = []*Request{unfinished, request(1, 16)}
	require.Equal(t, 1, taken(b)[b.active[1]])
	require.NotContains(t, b.texts, unfinished.window.texts[0], "there are texts behind its window")
}

// counted is an executable whose runs count, with the texts of each.
type counted struct {
	device.Executable
	texts []int
}

func (c *counted) Run(b *device.Batch) error {
	c.texts = append(c.texts, b.Texts())
	return c.Executable.Run(b)
}

// waitUntilIdle returns when nobody drains the queue: a call is answered before its drain has ended, and what is
// enqueued until then is run by that one.
func waitUntilIdle(t *testing.T, e *Embedder) {
	t.Helper()
	q := &e.model.queue
	require.Eventually(t, func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return !q.running
	}, 10*time.Second, time.Millisecond)
}

// TestRequestsThatWaitTogetherShareRuns: 64 of one text each, short ones and one that is alone too long for an even share;
// the vectors are those that each has alone.
func TestRequestsThatWaitTogetherShareRuns(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, tinyFile(t), device.Exact)
	defer e.Close()
	const requests = limits.ActiveRequests
	texts := make([][]byte, requests)
	for i := range texts {
		texts[i] = []byte(strings.Repeat("hello world ", 1+i%3))
	}
	texts[5] = []byte(strings.Repeat("hello ", 20))
	var want []float32
	for i := range texts {
		want = append(want, embed(t, e, texts[i:i+1], CallOptions{})...)
	}
	waitUntilIdle(t, e)
	runs := &counted{Executable: e.model.executable}
	e.model.executable = runs
	got, answers := make([]float32, len(want)), make(chan error, requests)
	var run func()
	for i := range texts {
		start := e.Enqueue((&Request{Texts: texts[i : i+1], Done: func(_ *Result, err error) { answers <- err },
			Allocate: func(n int64) ([]float32, error) { return got[int64(i)*n:][:n], nil }}).waiting())
		if start != nil {
			run = start
		}
	}
	run()
	for range requests {
		require.NoError(t, <-answers)
	}
	require.Equal(t, want, got)
	t.Log("texts of each run:", runs.texts)
	require.LessOrEqual(t, len(runs.texts), requests/16)
}

// TestACancelledCallIsAnsweredWhateverIsBeforeIt: at the next step of the queue, though its turn is far.
func TestACancelledCallIsAnsweredWhateverIsBeforeIt(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, tinyFile(t), device.Exact)
	defer e.Close()
	order, stop := make(chan error, 13), new(atomic.Uint32)
	enqueue := func(cancelled *atomic.Uint32) (run func()) {
		return e.Enqueue((&Request{Texts: slices.Repeat([][]byte{[]byte("hello world")}, 256), Cancelled: cancelled,
			Allocate: func(n int64) ([]float32, error) { return make([]float32, n), nil },
			Done:     func(_ *Result, err error) { order <- err }}).waiting())
	}
	run := enqueue(nil)
	for range 11 {
		enqueue(nil)
	}
	enqueue(stop)
	stop.Store(1)
	run()
	require.True(t, isCode(<-order, errs.Aborted), "before all others")
	for range 12 {
		require.NoError(t, <-order)
	}
}

// fullQueue is the queue of a model of two embedders, which is not drained before run, and what was answered.
type fullQueue struct {
	t        *testing.T
	e, other *Embedder
	queue    *queue
	run      func()
	stop     *atomic.Uint32 // of what is enqueued from now on
	answers  chan error
}

// newFullQueue holds two texts of other's, and as many of e's as it takes beside them.
func newFullQueue(t *testing.T) *fullQueue {
	r, path := newRuntime(t, Settings{}), tinyFile(t)
	q := &fullQueue{t: t, e: open(t, r, path, device.Exact), other: open(t, r, path, device.Exact), stop: new(atomic.Uint32), answers: make(chan error, 9)}
	q.queue = &q.e.model.queue
	q.enqueue(q.other, 2)
	t.Cleanup(func() { // before the runtime's, which wants its memory back
		q.cancel()
		q.run()
		q.e.Close()
		q.other.Close()
	})
	q.enqueue(q.e, limits.MaxQueuedTexts-2)
	q.wantFull()
	return q
}

func (q *fullQueue) enqueue(of *Embedder, texts int) {
	q.t.Helper()
	r := &Request{Texts: make([][]byte, texts), Cancelled: q.stop, Done: func(_ *Result, err error) { q.answers <- err }}
	if start := of.Enqueue(r.waiting()); start != nil {
		require.Nil(q.t, q.run)
		q.run = start
	}
}

func (q *fullQueue) answered(code errs.Code) {
	q.t.Helper()
	select {
	case err := <-q.answers:
		require.True(q.t, isCode(err, code), "%v", err)
	default:
		q.t.Fatal("no answer")
	}
}

// cancel sets the flag of all that was enqueued so far.
func (q *fullQueue) cancel() {
	q.stop.Store(1)
	q.stop = new(atomic.Uint32)
}

// wantFull wants one text more to be refused, and nothing else to be answered.
func (q *fullQueue) wantFull() {
	q.t.Helper()
	require.Empty(q.t, q.answers)
	q.enqueue(q.e, 1)
	q.answered(errs.Busy)
	require.Equal(q.t, limits.MaxQueuedTexts, q.queue.texts)
}

// TestQueueHoldsSoManyTexts: those that wait count, exactly; those that run do not.
func TestQueueHoldsSoManyTexts(t *testing.T) {
	q := newFullQueue(t)
	active := &q.e.model.batcher.active
	require.True(t, q.queue.take(active))
	require.Len(t, *active, 2)
	require.Zero(t, q.queue.texts)
	q.enqueue(q.e, limits.MaxQueuedTexts+1) // alone it may be as long as it likes
	require.Len(t, q.queue.waiting, 1)
	q.enqueue(q.e, 1)
	q.answered(errs.Busy)
	q.cancel()
	q.run()
	for range 3 {
		q.answered(errs.Aborted)
	}
	require.Empty(t, q.answers)
}

// TestCancelledTextsKeepNobodyOut: there is room for as many others.
func TestCancelledTextsKeepNobodyOut(t *testing.T) {
	q := newFullQueue(t)
	q.cancel()
	q.enqueue(q.e, 2)
	q.answered(errs.Aborted)
	q.answered(errs.Aborted)
	q.enqueue(q.e, limits.MaxQueuedTexts-2)
	q.wantFull()
}

// TestAClosedEmbeddersTextsKeepNobodyOut: they are rejected, those of another one of the same model wait on.
func TestAClosedEmbeddersTextsKeepNobodyOut(t *testing.T) {
	q := newFullQueue(t)
	q.other.Close()
	q.answered(errs.Closed)
	q.enqueue(q.e, 2)
	q.wantFull()
}

// TestCloseWaitsForWhatRuns: the weights are not taken from under a batch.
func TestCloseWaitsForWhatRuns(t *testing.T) {
	r := newRuntime(t, Settings{})
	e := open(t, r, tinyFile(t), device.Exact)
	running, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	e.Submit(&Request{Texts: [][]byte{[]byte("hello")}, Done: func(_ *Result, err error) { done <- err },
		Allocate: func(n int64) ([]float32, error) {
			close(running)
			<-goOn
			return make([]float32, n), nil
		}})
	<-running
	end := waits(t, func() error { e.Close(); return nil })
	release()
	require.NoError(t, soon(t, done))
	require.NoError(t, soon(t, end))
}

// TestQueueMakesNoGarbage: a request in steady state costs the goroutine that drains the queue, and the tokenizer's
// two small objects a text.
func TestQueueMakesNoGarbage(t *testing.T) {
	r := newRuntime(t, Settings{Threads: 1})
	e := open(t, r, bundled, device.Exact)
	defer e.Close()
	const runs = 50
	requests, done, out := make([]Request, runs+2), make(chan error, 1), make([]float32, 2*384)
	for i := range requests {
		requests[i] = Request{Texts: [][]byte{[]byte("one text"), []byte("another")},
			Allocate: func(int64) ([]float32, error) { return out, nil }, Done: func(_ *Result, err error) { done <- err }}
	}
	next := 0
	require.LessOrEqual(t, testing.AllocsPerRun(runs, func() {
		e.Submit(&requests[next])
		next++
		require.NoError(t, <-done)
	}), 1.0+2*2)
}
