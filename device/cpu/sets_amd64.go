package cpu

// #include <kernels.h>
import "C"

var kernelSets = setsOf(&C.gsk_amx, &C.gsk_avx512vnni, &C.gsk_avx512, &C.gsk_avxvnni, &C.gsk_avx2, &C.gsk_portable)
