//go:build !amd64 && !arm64

package cpu

// #include <kernels.h>
import "C"

var kernelSets = setsOf(&C.gsk_portable)
