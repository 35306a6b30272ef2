package cpu

// #include <kernels.h>
import "C"

var kernelSets = setsOf(&C.gsk_neoni8mm, &C.gsk_neondot, &C.gsk_neon, &C.gsk_portable)
