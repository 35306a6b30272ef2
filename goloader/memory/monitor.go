package memory

import (
	"math"
	"sync"
	"sync/atomic"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// Monitor grants bytes against a budget before they are allocated. The budget is the least of the asked-for
// limit and what the system leaves (SystemLimits), looked up anew at each request, since other processes come
// and go. Grants are counted on the ledger's page.
//
// The system counts pages when they are written to, so that what others were granted and have not filled is
// taken off what it leaves. Pages that are filled and not yet told of (FilledTo) are counted twice: who can wait is not
// refused for that.
type Monitor struct {
	ledger   *Ledger
	limits   func() []SystemLimit // the seam for tests
	mu       sync.Mutex           // of grants
	filled   chan struct{}        // closed, and another made, when unfilled becomes less
	unfilled atomic.Int64         // bytes of grants; changed under mu
}

// ForNodejs is MemoryMonitor.forNodejs(): 2 GiB unless an option lifts it, less where the system has less.
func ForNodejs(ledger *Ledger) *Monitor {
	ledger.page.Budget.Store(limits.DefaultBudgetBytes)
	m := &Monitor{ledger: ledger, limits: SystemLimits, filled: make(chan struct{})}
	m.Look()
	return m
}

// WithLimits replaces the look at the system. For tests.
func (m *Monitor) WithLimits(f func() []SystemLimit) *Monitor {
	m.limits = f
	return m
}

// Available is what CanAllocate would grant under the given limit (0: the default budget), and the name
// of the bound that decides.
func (m *Monitor) Available(limit int64) (bytes int64, bound string) {
	bytes, bound = orDefault(limit)-m.ledger.page.Reserved.Load(), "memoryLimit"
	if system := m.Look(); system.Bytes < bytes {
		bytes, bound = system.Bytes, system.Name
	}
	return max(bytes, 0), bound
}

func orDefault(limit int64) int64 {
	if limit <= 0 {
		return limits.DefaultBudgetBytes
	}
	return limit
}

// Look asks the system for its tightest bound, takes off what is granted and not filled, and notes the rest on the
// page, where C reads it for JavaScript.
func (m *Monitor) Look() SystemLimit {
	unfilled := m.unfilled.Load() // first: what is filled while we look is counted twice, not left out
	tightest := SystemLimit{"none", math.MaxInt64}
	for _, l := range m.limits() {
		if l.Bytes < tightest.Bytes {
			tightest = l
		}
	}
	tightest.Bytes -= unfilled
	m.ledger.page.System.Store(tightest.Bytes)
	return tightest
}

// CanAllocate says whether TryAllocate would grant the bytes now.
func (m *Monitor) CanAllocate(bytes, limit int64) bool {
	available, _ := m.Available(limit)
	return bytes <= available
}

// TryAllocate reserves bytes for what, or refuses at once with ERR_MEMORY_LIMIT naming both figures.
func (m *Monitor) TryAllocate(bytes, limit int64, what string) (*Grant, error) {
	grant, _, err := m.try(bytes, limit, what)
	return grant, err
}

// Allocate is TryAllocate for who can wait: while it is refused only for others' pages that are counted twice, it calls
// wait, which returns when filled is closed, or with the error to give up with. Who holds a grant that is not filled
// must not wait: two would for each other.
func (m *Monitor) Allocate(bytes, limit int64, what string, wait func(filled <-chan struct{}) error) (*Grant, error) {
	for {
		grant, filled, err := m.try(bytes, limit, what)
		if filled == nil {
			return grant, err
		}
		if err := wait(filled); err != nil {
			return nil, err
		}
	}
}

// try grants or refuses; filled is nil unless waiting for it may help.
func (m *Monitor) try(bytes, limit int64, what string) (grant *Grant, filled <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reserved := &m.ledger.page.Reserved // JavaScript's are counted there, too, at any time (gs_reserve)
	allowed := reserved.Add(bytes) <= orDefault(limit)
	left := m.Look().Bytes
	if allowed && bytes <= left {
		m.unfilled.Add(bytes)
		m.ledger.page.System.Add(-bytes)
		return &Grant{monitor: m, bytes: bytes, unfilled: bytes}, nil, nil
	}
	reserved.Add(-bytes)
	if allowed && bytes <= left+m.unfilled.Load() {
		filled = m.filled
	}
	available, bound := m.Available(limit)
	return nil, filled, errs.New(errs.MemoryLimit, what,
		"%s needs %d bytes, but only %d are available (bound: %s); raise memoryLimit, free memory, or use a smaller model",
		what, bytes, available, bound)
}

// Grant is bytes that are reserved.
type Grant struct {
	monitor  *Monitor
	bytes    int64
	unfilled int64 // of them; changed under monitor.mu
	released sync.Once
}

// fillSteps: who waits looks at the system at each.
const fillSteps = 16

// FilledTo says which share of the bytes, from 0 to 1, has been written to: the system counts them now.
func (g *Grant) FilledTo(share float64) { g.fill(int64(float64(g.bytes)*(1-share)), g.bytes/fillSteps) }

// Filled says that no more of the bytes will be written to for the first time.
func (g *Grant) Filled() { g.fill(0, 0) }

// fill notes that only the rest is not filled, where that is less by more than a step.
func (g *Grant) fill(rest, step int64) {
	m := g.monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	if g.unfilled-rest <= step {
		return
	}
	m.unfilled.Add(rest - g.unfilled)
	g.unfilled = rest
	close(m.filled)
	m.filled = make(chan struct{})
}

// Release gives the bytes back; calling it again does nothing.
func (g *Grant) Release() {
	g.Filled()
	g.released.Do(func() { g.monitor.ledger.page.Reserved.Add(-g.bytes) })
}

// SystemLimit is one bound that the system sets on further allocation.
type SystemLimit struct {
	Name  string `json:"name"`  // as SystemLimits of the platform names it: "cgroup", "MemAvailable"
	Bytes int64  `json:"bytes"` // what is left
}
