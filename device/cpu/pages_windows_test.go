package cpu

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapPages(bytes int) ([]byte, error) {
	address, err := windows.VirtualAlloc(0, uintptr(bytes), windows.MEM_RESERVE|windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&address)), bytes), nil
}

func forbidPages(m []byte) error {
	var before uint32
	return windows.VirtualProtect(uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), windows.PAGE_NOACCESS, &before)
}

func unmapPages(m []byte) {
	_ = windows.VirtualFree(uintptr(unsafe.Pointer(&m[0])), 0, windows.MEM_RELEASE)
}
