//go:build !linux

package memory

// adviseHuge does nothing where the system decides by itself.
func adviseHuge([]byte) {}
