package cpu

// #include <kernels.h>
import "C"

var kernelSets = []kernelSet{
	{"amx", []string{"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni", "amx-tile", "amx-int8"}, &C.gsk_amx},
	{"avx512vnni", []string{"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni"}, &C.gsk_avx512vnni},
	{"avx512", []string{"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq"}, &C.gsk_avx512},
	{"avxvnni", []string{"avx2", "fma", "f16c", "avxvnni"}, &C.gsk_avxvnni},
	{"avx2", []string{"avx2", "fma", "f16c"}, &C.gsk_avx2},
	{"portable", nil, &C.gsk_portable},
}
