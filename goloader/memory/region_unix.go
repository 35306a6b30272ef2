//go:build unix

package memory

import "golang.org/x/sys/unix"

func mapAnonymous(bytes int64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func unmap(m []byte) { _ = unix.Munmap(m) }

func protectReadOnly(m []byte) error { return unix.Mprotect(m, unix.PROT_READ) }
