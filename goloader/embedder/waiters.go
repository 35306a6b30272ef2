package embedder

import (
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

// lookEvery is how often a caller looks whether it still wants a load that goes on for others.
const lookEvery = 5 * time.Millisecond

func (w *waiter) gone() bool { return w.cancelled != nil && w.cancelled.Load() != 0 }

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

// report is the load's progress: it tells all, and stops the load that nobody waits for.
func (ws *waiters) report(loaded, total int64, tensor string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	wanted := false
	for _, w := range ws.list {
		if w.progress != nil {
			w.progress(loaded, total, tensor)
		}
		wanted = wanted || !w.gone()
	}
	if !wanted {
		ws.stop.Store(1)
	}
}

// wait returns when the load is over, or with ERR_ABORTED when this caller is cancelled. The last caller sees the
// load's end, so that nothing of it is left.
func (m *model) wait(w *waiter) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for over := false; !over && !w.gone(); {
		select {
		case <-m.loaded:
			over = true
		case <-look.C:
		}
	}
	if !m.waiters.leave(w) {
		<-m.loaded
	}
	if w.gone() {
		return errs.Cancelled("")
	}
	return nil
}
