package cpu

// #include "kernels.h"
import "C"

var kernelSets = []kernelSet{
	{"neondot", []string{"dotprod"}, &C.gsk_neondot},
	{"neon", nil, &C.gsk_neon},
	{"portable", nil, &C.gsk_portable},
}
