package cpu

import (
	"runtime"
	"unsafe"
)

// pinner holds Go memory in place while C has its address in a struct.
type pinner = runtime.Pinner

func pin[T any](p *pinner, v *T) unsafe.Pointer {
	if v != nil {
		p.Pin(v)
	}
	return unsafe.Pointer(v)
}
