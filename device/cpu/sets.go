package cpu

/*
#include <detect.h>
#include <kernels.h>
#include <stdlib.h>
*/
import "C"

import (
	"strings"
	"unsafe"

	"gguf-stream/goloader/errs"
)

// kernelSet is a set of the list (sets_<goarch>.go), best first.
type kernelSet struct {
	name  string
	needs []string // processor features, in GCC's names
	c     *C.gsk_kernel_set
}

func setsOf(sets ...*C.gsk_kernel_set) []kernelSet {
	all := make([]kernelSet, len(sets))
	for i, c := range sets {
		needs := strings.FieldsFunc(C.GoString(c.needs), func(r rune) bool { return r == ',' })
		all[i] = kernelSet{C.GoString(c.name), needs, c}
	}
	return all
}

// SetInfo tells whether a set can run here.
type SetInfo struct {
	Name    string
	Missing []string // needed features that the processor or the system lacks
}

// Available says whether the set can run here.
func (s SetInfo) Available() bool { return len(s.Missing) == 0 }

// Lacking is what is missing, blank-separated.
func (s SetInfo) Lacking() string { return strings.Join(s.Missing, " ") }

// Sets lists all sets of this architecture, best first.
func Sets() []SetInfo {
	infos := make([]SetInfo, len(kernelSets))
	for i, s := range kernelSets {
		infos[i].Name = s.name
		for _, f := range s.needs {
			if !has(f) {
				infos[i].Missing = append(infos[i].Missing, f)
			}
		}
	}
	return infos
}

func has(feature string) bool {
	name := C.CString(feature)
	defer C.free(unsafe.Pointer(name))
	return C.gsk_has(name) != 0
}

func chooseSet(name string) (*kernelSet, error) {
	var available []string
	for i, info := range Sets() {
		if !info.Available() {
			if info.Name == name {
				return nil, errs.New(errs.KernelSet, "GGUF_STREAM_KERNELS", "kernel set %s needs %s, which this processor lacks", name, strings.Join(info.Missing, ", "))
			}
			continue
		}
		if name == "" || name == info.Name {
			return &kernelSets[i], nil
		}
		available = append(available, info.Name)
	}
	return nil, errs.New(errs.KernelSet, "GGUF_STREAM_KERNELS", "kernel set %q is not known here; available: %s", name, strings.Join(available, ", "))
}
