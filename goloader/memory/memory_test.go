package memory

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

func newLedger(t *testing.T) *Ledger {
	l, err := NewLedger()
	require.NoError(t, err)
	return l
}

func TestGuardRefusesInItsOwnWords(t *testing.T) {
	require.NoError(t, Guard{}.Check(limits.HeapAllocationBytes))
	err := Guard{}.Check(limits.HeapAllocationBytes + 1)
	require.Equal(t, "BLOCKED: Allocation 10485761 bytes exceeds 10MB limit. This prevents V8 heap crashes.", errs.From(err).Message)
	_, err = MakeSlice[float64](limits.HeapAllocationBytes/8 + 1)
	require.Equal(t, errs.MemoryGuard, errs.From(err).Code)
	_, err = MakeSlice[float64](1 << 62)
	require.Error(t, err)
	s, err := MakeSlice[int32](7)
	require.NoError(t, err)
	require.Len(t, s, 7)
}

func TestLedgerCountsByPurpose(t *testing.T) {
	l := newLedger(t)
	a, err := l.Allocate(Weights, 100000)
	require.NoError(t, err)
	b, err := l.Allocate(Vocab, 5)
	require.NoError(t, err)
	require.EqualValues(t, 100000, l.Bytes(Weights))
	require.EqualValues(t, 5, l.Bytes(Vocab))
	require.EqualValues(t, 100005, l.Total())
	require.EqualValues(t, 2, l.Counters().Regions.Load())
	copy(a.Bytes(), "written")
	require.NoError(t, a.Seal())
	b.Free()
	a.Free()
	a.Free()
	require.Zero(t, l.Total())
	require.Zero(t, l.Counters().Regions.Load())
}

func TestAllocationFailureIsTyped(t *testing.T) {
	l := newLedger(t)
	l.FailAllocations(func(int64) ([]byte, error) { return nil, errors.New("none left") })
	_, err := l.Allocate(Activations, 9)
	require.Equal(t, errs.MemoryAllocation, errs.From(err).Code)
	require.Equal(t, "activations", errs.From(err).Field)
	require.Zero(t, l.Total())
	l.FailAllocations(nil)
	r, err := l.Allocate(Activations, 9)
	require.NoError(t, err)
	r.Free()
}

func TestSliceStaysInside(t *testing.T) {
	r, err := newLedger(t).Allocate(Staging, 64)
	require.NoError(t, err)
	defer r.Free()
	require.Len(t, Slice[float32](r, 16, 12), 12)
	require.Panics(t, func() { Slice[float32](r, 16, 13) })
	require.Panics(t, func() { Slice[float32](r, -4, 1) })
	require.Zero(t, uintptr(unsafe.Pointer(&Slice[float64](r, 0, 8)[0]))%4096)
}

func TestMonitorGrantsNoMoreThanTheLeastBound(t *testing.T) {
	left := []SystemLimit{{"cgroup", 700}, {"MemAvailable", 5000}}
	m := ForNodejs(newLedger(t)).WithLimits(func() []SystemLimit { return left })
	require.True(t, m.CanAllocate(700, 0))
	require.False(t, m.CanAllocate(701, 0))
	_, err := m.TryAllocate(701, 0, "model")
	require.Equal(t, errs.MemoryLimit, errs.From(err).Code)
	require.Contains(t, err.Error(), "701")
	require.Contains(t, err.Error(), "700")
	require.Contains(t, err.Error(), "cgroup")
	left = nil
	grant, err := m.TryAllocate(600, 1000, "model")
	require.NoError(t, err)
	require.False(t, m.CanAllocate(401, 1000))
	grant.Release()
	grant.Release()
	require.True(t, m.CanAllocate(1000, 1000))
	require.False(t, m.CanAllocate(limits.DefaultBudgetBytes+1, 0))
	require.True(t, m.CanAllocate(limits.DefaultBudgetBytes+1, 8<<30), "an option lifts the default")
}

func TestConcurrentGrantsNeverExceed(t *testing.T) {
	l := newLedger(t)
	m := ForNodejs(l).WithLimits(func() []SystemLimit { return nil })
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if grant, err := m.TryAllocate(30, 100, "x"); err == nil {
					if granted.Add(30) > 100 {
						t.Error("more granted than there is")
					}
					granted.Add(-30)
					grant.Release()
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, l.Counters().Reserved.Load())
}

// The system leaves 1000 bytes, less what is written to.
func TestGrantsThatAreNotFilledAreTakenOffWhatTheSystemLeaves(t *testing.T) {
	var written atomic.Int64
	l := newLedger(t)
	m := ForNodejs(l).WithLimits(func() []SystemLimit { return []SystemLimit{{"cgroup", 1000 - written.Load()}} })
	first, err := m.TryAllocate(600, 0, "first")
	require.NoError(t, err)
	require.EqualValues(t, 400, l.Counters().System.Load(), "what JavaScript sees")
	require.False(t, m.CanAllocate(401, 0))

	_, err = m.TryAllocate(500, 0, "activations")
	require.Equal(t, errs.MemoryLimit, errs.From(err).Code, "who does not wait is refused at once")
	for limit, bytes := range map[int64]int64{1000: 401, 0: 1001} {
		_, err = m.Allocate(bytes, limit, "hopeless", nil)
		require.Equal(t, errs.MemoryLimit, errs.From(err).Code, "who waits, too, where that would not help")
	}
	_, err = m.Allocate(500, 0, "cancelled", func(<-chan struct{}) error { return errs.Cancelled("cancelled") })
	require.Equal(t, errs.Aborted, errs.From(err).Code)

	waits, second := make(chan struct{}), make(chan error)
	go func() {
		grant, err := m.Allocate(500, 0, "second", func(filled <-chan struct{}) error {
			close(waits)
			<-filled
			return nil
		})
		if err == nil {
			grant.Release()
		}
		second <- err
	}()
	<-waits
	require.EqualValues(t, 600, l.Counters().Reserved.Load(), "who waits holds nothing")
	written.Store(300) // the first one needed less in the end
	first.Filled()
	require.NoError(t, <-second)
	first.Release()
	require.Zero(t, l.Counters().Reserved.Load())
	_, err = m.TryAllocate(701, 0, "third")
	require.Equal(t, errs.MemoryLimit, errs.From(err).Code)
}

// TestGrantsAtOnceSeeEachOther: while one request looks at the system another comes, and both cannot have what is left.
func TestGrantsAtOnceSeeEachOther(t *testing.T) {
	var looks atomic.Int64
	another := make(chan struct{})
	m := ForNodejs(newLedger(t)).WithLimits(func() []SystemLimit {
		switch looks.Add(1) {
		case 1:
			select {
			case <-another: // nothing has kept it out
			case <-time.After(50 * time.Millisecond):
			}
		case 2:
			close(another)
		}
		return []SystemLimit{{"cgroup", 100}}
	})
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := m.TryAllocate(60, 0, "x"); err == nil {
				granted.Add(60)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 60, granted.Load())
}
