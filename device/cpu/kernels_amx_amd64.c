/* AMX: the tile unit for codes forms, AVX-512 VNNI for the rest. */
#include "kernels.h"
#define SET amx
#define EXACT_UNIT 4
#define GSK_CODES "kernels_codes_amx.h"
GSK_TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,amx-tile,amx-int8")
#include "kernels_avx512_amd64.h"
#include "kernels_avx512vnni_amd64.h"
#include "kernels_body.h"
GSK_TARGET_END
