package cpu

// #include <kernels.h>
import "C"

var kernelSets = []kernelSet{
	{"neoni8mm", []string{"dotprod", "i8mm"}, &C.gsk_neoni8mm},
	{"neondot", []string{"dotprod"}, &C.gsk_neondot},
	{"neon", nil, &C.gsk_neon},
	{"portable", nil, &C.gsk_portable},
}
