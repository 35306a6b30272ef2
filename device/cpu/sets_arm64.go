package cpu

// #include "kernels.h"
import "C"

var kernelSets = []kernelSet{
	{"neon", nil, &C.gsk_neon},
	{"portable", nil, &C.gsk_portable},
}
