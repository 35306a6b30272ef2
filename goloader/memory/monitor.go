package memory

import (
	"math"
	"sync"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// Monitor is the seed's MemoryMonitor: it grants bytes against a budget before they are allocated. The
// budget is the least of the asked-for limit and what the system leaves (SystemLimits), looked up anew
// at each request, since other processes come and go. Grants are counted on the ledger's page.
type Monitor struct {
	ledger *Ledger
	limits func() []SystemLimit // the seam for tests
	mu     sync.Mutex
}

// ForNodejs is MemoryMonitor.forNodejs(): 2 GiB unless an option lifts it, less where the system has less.
func ForNodejs(ledger *Ledger) *Monitor {
	ledger.page.Budget.Store(limits.DefaultBudgetBytes)
	m := &Monitor{ledger: ledger, limits: SystemLimits}
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
	if limit <= 0 {
		limit = limits.DefaultBudgetBytes
	}
	bytes, bound = limit-m.ledger.page.Reserved.Load(), "memoryLimit"
	if system := m.Look(); system.Bytes < bytes {
		bytes, bound = system.Bytes, system.Name
	}
	return max(bytes, 0), bound
}

// Look asks the system for its tightest bound and notes it on the page, where C reads it for JavaScript.
func (m *Monitor) Look() SystemLimit {
	tightest := SystemLimit{"none", math.MaxInt64}
	for _, l := range m.limits() {
		if l.Bytes < tightest.Bytes {
			tightest = l
		}
	}
	m.ledger.page.System.Store(tightest.Bytes)
	return tightest
}

// CanAllocate says whether TryAllocate would grant the bytes now.
func (m *Monitor) CanAllocate(bytes, limit int64) bool {
	available, _ := m.Available(limit)
	return bytes <= available
}

// TryAllocate reserves bytes for what, or refuses with ERR_MEMORY_LIMIT naming both figures. release
// gives them back; calling it again does nothing.
func (m *Monitor) TryAllocate(bytes, limit int64, what string) (release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	available, bound := m.Available(limit)
	if bytes > available {
		return nil, errs.New(errs.MemoryLimit, what,
			"%s needs %d bytes, but only %d are available (bound: %s); raise memoryLimit, free memory, or use a smaller model",
			what, bytes, available, bound)
	}
	m.ledger.page.Reserved.Add(bytes)
	var once sync.Once
	return func() { once.Do(func() { m.ledger.page.Reserved.Add(-bytes) }) }, nil
}

// SystemLimit is one bound that the system sets on further allocation.
type SystemLimit struct {
	Name  string `json:"name"`  // as SystemLimits of the platform names it: "cgroup", "MemAvailable"
	Bytes int64  `json:"bytes"` // what is left
}
