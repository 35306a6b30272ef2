/* AMX: the tile unit for codes forms, AVX-512 VNNI for the rest. */
#include "kernels.h"
#define SET amx
#define NEEDS "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,amx-tile,amx-int8"
/* An exact product is two of bytes for the tile unit, and tiles of 32 k are half of what it takes: the shares are of a
 * peak that only joined blocks can reach. */
#define PEAKS "f32 512", "int8 tiles", "int8 tiles", "int16 512"
#define EXACT_UNIT 4
#define SPLITS 1
#define GSK_CODES "kernels_codes_amx.h"
GSK_TARGET_BEGIN(NEEDS)
#include "kernels_avx512_amd64.h"
#include "kernels_avx512vnni_amd64.h"
#include "kernels_body.h"
GSK_TARGET_END
