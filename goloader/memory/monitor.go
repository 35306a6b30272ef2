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
// taken off what it leaves. Meanwhile their pages are counted twice: who would be refused for that waits.
type Monitor struct {
	ledger   *Ledger
	limits   func() []SystemLimit // the seam for tests
	mu       sync.Mutex           // of TryAllocate
	filled   *sync.Cond           // unfilled has become less
	unfilled atomic.Int64         // bytes of grants; changed under mu
}

// ForNodejs is MemoryMonitor.forNodejs(): 2 GiB unless an option lifts it, less where the system has less.
func ForNodejs(ledger *Ledger) *Monitor {
	ledger.page.Budget.Store(limits.DefaultBudgetBytes)
	m := &Monitor{ledger: ledger, limits: SystemLimits}
	m.filled = sync.NewCond(&m.mu)
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
	tightest := SystemLimit{"none", math.MaxInt64}
	for _, l := range m.limits() {
		if l.Bytes < tightest.Bytes {
			tightest = l
		}
	}
	tightest.Bytes -= m.unfilled.Load()
	m.ledger.page.System.Store(tightest.Bytes)
	return tightest
}

// CanAllocate says whether TryAllocate would grant the bytes now.
func (m *Monitor) CanAllocate(bytes, limit int64) bool {
	available, _ := m.Available(limit)
	return bytes <= available
}

// TryAllocate reserves bytes for what, or refuses with ERR_MEMORY_LIMIT naming both figures. Who holds a grant that
// is not filled must not ask for another.
func (m *Monitor) TryAllocate(bytes, limit int64, what string) (*Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reserved := &m.ledger.page.Reserved // JavaScript's are counted there, too, at any time (gs_reserve)
	fits := reserved.Add(bytes) <= orDefault(limit)
	for fits && bytes > m.Look().Bytes {
		if fits = m.unfilled.Load() > 0; fits {
			m.filled.Wait()
		}
	}
	if !fits {
		reserved.Add(-bytes)
		available, bound := m.Available(limit)
		return nil, errs.New(errs.MemoryLimit, what,
			"%s needs %d bytes, but only %d are available (bound: %s); raise memoryLimit, free memory, or use a smaller model",
			what, bytes, available, bound)
	}
	m.unfilled.Add(bytes)
	m.ledger.page.System.Add(-bytes)
	return &Grant{monitor: m, bytes: bytes}, nil
}

// Grant is bytes that TryAllocate has reserved.
type Grant struct {
	monitor          *Monitor
	bytes            int64
	filled, released sync.Once
}

// Filled says that no more of the bytes will be written to for the first time: the system counts them now.
func (g *Grant) Filled() {
	g.filled.Do(func() {
		g.monitor.mu.Lock()
		defer g.monitor.mu.Unlock()
		g.monitor.unfilled.Add(-g.bytes)
		g.monitor.filled.Broadcast()
	})
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
