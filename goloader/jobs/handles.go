package jobs

import (
	"sync"

	"gguf-stream/goloader/errs"
)

type closer interface{ Close() }

// handles numbers what JavaScript holds: an index and a generation, so that a closed number stays
// closed. Both fit the 53 bits of a JS number.
type handles struct {
	mu   sync.Mutex
	list []handleSlot
	free []uint32
}

type handleSlot struct {
	value      closer
	owner      uint64
	generation uint32
}

const generationBits = 21

func (h *handles) add(owner uint64, v closer) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var i uint32
	if n := len(h.free); n > 0 {
		i, h.free = h.free[n-1], h.free[:n-1]
	} else {
		h.list = append(h.list, handleSlot{})
		i = uint32(len(h.list) - 1)
	}
	s := &h.list[i]
	s.value, s.owner, s.generation = v, owner, (s.generation+1)%(1<<generationBits)
	return uint64(s.generation)<<32 | uint64(i+1)
}

func (h *handles) slot(handle uint64) *handleSlot {
	i := uint32(handle)
	if i == 0 || int(i) > len(h.list) {
		return nil
	}
	if s := &h.list[i-1]; s.value != nil && uint64(s.generation) == handle>>32 {
		return s
	}
	return nil
}

// remove takes the value out; a second time finds nothing.
func (h *handles) remove(handle uint64) (closer, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slot(handle)
	if s == nil {
		return nil, false
	}
	v := s.value
	s.value = nil
	h.free = append(h.free, uint32(handle)-1)
	return v, true
}

// removeOf takes out all that an owner has.
func (h *handles) removeOf(owner uint64) (all []closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.list {
		if s := &h.list[i]; s.value != nil && s.owner == owner {
			all = append(all, s.value)
			s.value = nil
			h.free = append(h.free, uint32(i))
		}
	}
	return all
}

// find is the value of a handle; ERR_CLOSED for one that is closed or of another kind.
func find[T closer](h *handles, handle uint64) (T, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.slot(handle); s != nil {
		if v, ok := s.value.(T); ok {
			return v, nil
		}
	}
	var none T
	return none, errs.New(errs.Closed, "", "it is closed")
}
