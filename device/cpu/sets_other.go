//go:build !amd64 && !arm64

package cpu

// #include <kernels.h>
import "C"

var kernelSets = []kernelSet{{"portable", nil, &C.gsk_portable}}
