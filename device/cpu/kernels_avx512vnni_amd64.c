/* AVX-512 VNNI: vpdpwssd and vpdpbusd. */
#include "kernels.h"
#define SET avx512vnni
#define NEEDS "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
#define PEAKS "f32 512", "int16 512", "int8 512", "int16 512"
#define Q8_TILES "kernels_q8_avx512vnni_amd64.h"
GSK_TARGET_BEGIN(NEEDS)
#include "kernels_avx512_amd64.h"
#include "kernels_avx512vnni_amd64.h"
#include "kernels_body.h"
GSK_TARGET_END
