package embedder

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/stream"
)

// waiters are the callers that wait for one load. It stops when none of them wants it any more.
type waiters struct {
	mu   sync.Mutex
	list []*waiter
	stop atomic.Uint32
}

type waiter struct {
	cancelled *atomic.Uint32 // may be nil; set by C without a word to Go
	progress  stream.Progress
}

// lookEvery is how often who waits looks whether it is still wanted.
const lookEvery = 5 * time.Millisecond

// await receives from the channel, or ends with ERR_ABORTED when whoever wanted it is gone.
func await(c <-chan struct{}, gone func() bool) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for !gone() {
		select {
		case <-c:
			return nil
		case <-look.C:
		}
	}
	return errs.Cancelled("")
}

func (w *waiter) gone() bool { return errs.GaveUp(w.cancelled) }

func (ws *waiters) enter(w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.list = append(ws.list, w)
}

// leave takes a caller out; it hears of no progress any more. others says whether anybody is left.
func (ws *waiters) leave(w *waiter) (others bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i := range ws.list {
		if ws.list[i] == w {
			ws.list = append(ws.list[:i], ws.list[i+1:]...)
			break
		}
	}
	return len(ws.list) > 0
}

// gone says that nobody wants the load any more; it stops then, whoever comes later.
func (ws *waiters) gone() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !slices.ContainsFunc(ws.list, func(w *waiter) bool { return !w.gone() }) {
		ws.stop.Store(1)
	}
	return ws.stop.Load() != 0
}

// wanted is asked between a load's parts: ERR_ABORTED when nobody wants it any more.
func (ws *waiters) wanted() error {
	if ws.gone() {
		return errs.Cancelled("")
	}
	return nil
}

// report is the load's progress: it tells all, and stops the load that nobody waits for.
func (ws *waiters) report(loaded, total int64, tensor string) {
	ws.tell(loaded, total, tensor)
	ws.gone()
}

func (ws *waiters) tell(loaded, total int64, tensor string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.list {
		if w.progress != nil {
			w.progress(loaded, total, tensor)
		}
	}
}

// wait returns when the load is over, or with ERR_ABORTED when this caller is cancelled. The last caller sees the
// load's end, so that nothing of it is left.
func (m *model) wait(w *waiter) error {
	err := await(m.loaded, w.gone)
	if !m.waiters.leave(w) {
		<-m.loaded
	}
	if w.gone() {
		err = errs.Cancelled("")
	}
	return err
}

// awaitMemory waits for what others were granted to be filled, and leaves its seat at the disk to them meanwhile.
func (m *model) awaitMemory(filled <-chan struct{}) error {
	m.disk.leave()
	if err := await(filled, m.waiters.gone); err != nil {
		return err
	}
	return m.disk.take()
}
