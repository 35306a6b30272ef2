package memory

import "golang.org/x/sys/unix"

// SystemLimits is the machine's memory. macOS compresses and swaps before it refuses anything, and tells how much is free
// only through Mach calls: what other processes hold is not known here.
func SystemLimits() []SystemLimit {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return nil
	}
	return []SystemLimit{{"hw.memsize", int64(n)}}
}
