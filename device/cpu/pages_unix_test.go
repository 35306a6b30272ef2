//go:build unix

package cpu

import "golang.org/x/sys/unix"

func mapPages(bytes int) ([]byte, error) {
	return unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func forbidPages(m []byte) error { return unix.Mprotect(m, unix.PROT_NONE) }

func unmapPages(m []byte) { _ = unix.Munmap(m) }
