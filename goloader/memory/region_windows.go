package memory

import (
	"syscall"
	"unsafe"
)

// x/sys/windows would bring the package net along: the library grows by a fifth.
var (
	kernel32       = syscall.NewLazyDLL("kernel32.dll") // in every process before anything else
	virtualAlloc   = kernel32.NewProc("VirtualAlloc")
	virtualFree    = kernel32.NewProc("VirtualFree")
	virtualProtect = kernel32.NewProc("VirtualProtect")
)

// Constants of memoryapi.h.
const (
	memCommit, memReserve, memRelease = 0x1000, 0x2000, 0x8000
	pageReadOnly, pageReadWrite       = 0x02, 0x04
)

func mapAnonymous(bytes int64) ([]byte, error) {
	address, _, err := virtualAlloc.Call(0, uintptr(bytes), memReserve|memCommit, pageReadWrite)
	if address == 0 {
		return nil, err
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&address)), bytes), nil // not a conversion: vet would ask where the pointer is from
}

func unmap(m []byte) { _, _, _ = virtualFree.Call(addressOf(m), 0, memRelease) }

func protectReadOnly(m []byte) error {
	var before uint32
	if ok, _, err := virtualProtect.Call(addressOf(m), uintptr(len(m)), pageReadOnly, uintptr(unsafe.Pointer(&before))); ok == 0 {
		return err
	}
	return nil
}

func addressOf(m []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(m))) }
