package memory

import (
	"math"
	"unsafe"
)

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load                    uint32
	physical, physicalAvailable     uint64
	commit, commitAvailable         uint64 // the process's: the system's limit, or its job's
	virtual, virtualAvailable, none uint64
}

var globalMemoryStatus = kernel32.NewProc("GlobalMemoryStatusEx")

// SystemLimits is what the system leaves this process now: physical memory, and what can be committed, which is
// bounded by the page file and by a job object's limit. VirtualAlloc fails at the second.
func SystemLimits() []SystemLimit {
	m := memoryStatus{}
	m.length = uint32(unsafe.Sizeof(m))
	if ok, _, _ := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&m))); ok == 0 {
		return nil
	}
	return []SystemLimit{{"MemAvailable", bytesOf(m.physicalAvailable)}, {"commit", bytesOf(m.commitAvailable)}}
}

func bytesOf(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
