package gguf

import (
	"os"
	"syscall"
)

// nodeOf is the serial number of an open file's volume and its index there, which Stat does not tell; 0, 0 on file
// systems without them: size and time tell files apart then.
func nodeOf(f *os.File, _ os.FileInfo) (device, inode uint64) {
	var i syscall.ByHandleFileInformation
	if syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &i) != nil {
		return 0, 0
	}
	return uint64(i.VolumeSerialNumber), uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow)
}
