//go:build unix

package gguf

import (
	"os"
	"syscall"
)

// nodeOf is an open file's device and inode.
func nodeOf(_ *os.File, info os.FileInfo) (device, inode uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), st.Ino
	}
	return 0, 0
}
