/* The 128-bit operations that all NEON sets share; they are part of every arm64. */
#include <arm_neon.h>
#include <string.h>

#define LANES 4
#define TILE_ROWS 4
#define TILE_VECS 2
#define WORDS_ROWS 6 /* each sum takes two registers */
#define ATTEND_ROWS 4
#define ATTEND_VECS 4
#define ATTEND_CODES_VECS 2 /* each sum takes two registers */
typedef float32x4_t V;
typedef struct {
  int32x4_t low, high;
} VI; /* a column's sum is two neighbouring lanes, joined in toFloat */
typedef int16x8_t VW;
GSK_OP V set1(float a) { return vdupq_n_f32(a); }
GSK_OP V load(const float *p) { return vld1q_f32(p); }
GSK_OP void store(float *p, V a) { vst1q_f32(p, a); }
GSK_OP V add(V a, V b) { return vaddq_f32(a, b); }
GSK_OP V sub(V a, V b) { return vsubq_f32(a, b); }
GSK_OP V mul(V a, V b) { return vmulq_f32(a, b); }
GSK_OP V sqrtV(V a) { return vsqrtq_f32(a); }
GSK_OP V divV(V a, V b) { return vdivq_f32(a, b); }
GSK_OP V fmaV(V a, V b, V c) { return vfmaq_f32(c, a, b); }
/* compared and selected: fmax and fmin treat NaN and −0 otherwise than x86 and the portable set do */
GSK_OP V maxV(V a, V b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
GSK_OP V minV(V a, V b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
GSK_OP V roundV(V a) { return vrndnq_f32(a); }
GSK_OP V selectV(V m, V a, V b) { return vbslq_f32(vcltzq_f32(m), a, b); }
GSK_OP V scale2(V a, V t) {
  return vreinterpretq_f32_s32(
      vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(vreinterpretq_s32_f32(t), 23)));
}
GSK_OP float sumLanes(V a) {
  float32x2_t h = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}
GSK_OP float maxLanes(V a) {
  a = maxV(a, vextq_f32(a, a, 2));
  return vgetq_lane_f32(maxV(a, vextq_f32(a, a, 1)), 0);
}
GSK_OP void transpose(V *r) {
  float32x4_t a = vtrn1q_f32(r[0], r[1]), b = vtrn2q_f32(r[0], r[1]), c = vtrn1q_f32(r[2], r[3]),
              d = vtrn2q_f32(r[2], r[3]);
  r[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(c)),
  r[1] = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
  r[2] = vcombine_f32(vget_high_f32(a), vget_high_f32(c)),
  r[3] = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}
GSK_OP V maxRows(const V *r) {
  V a = maxV(vuzp1q_f32(r[0], r[1]), vuzp2q_f32(r[0], r[1])),
    b = maxV(vuzp1q_f32(r[2], r[3]), vuzp2q_f32(r[2], r[3]));
  return maxV(vuzp1q_f32(a, b), vuzp2q_f32(a, b));
}
GSK_OP V loadHalf(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
GSK_OP V loadBFloat(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
GSK_OP void storePairs(void *p, V a, V b) {
  vst1q_s32(p, vsliq_n_s32(vcvtnq_s32_f32(a), vcvtnq_s32_f32(b), 16));
}
GSK_OP VI zeroI(void) { return (VI){vdupq_n_s32(0), vdupq_n_s32(0)}; }
GSK_OP V toFloat(VI a) { return vcvtq_f32_s32(vpaddq_s32(a.low, a.high)); }
GSK_OP VI pair(const void *p) {
  int32_t v;
  memcpy(&v, p, 4);
  return (VI){vdupq_n_s32(v), vdupq_n_s32(v)};
}
GSK_OP VI dot(VI acc, VI a, VW w) {
  int16x8_t x = vreinterpretq_s16_s32(a.low);
  return (VI){vmlal_s16(acc.low, vget_low_s16(x), vget_low_s16(w)), vmlal_high_s16(acc.high, x, w)};
}
GSK_OP VW loadCodes(const uint8_t *p) { return vmovl_s8(vld1_s8((const int8_t *)p)); }
GSK_OP void loadNibbles(const uint8_t *p, const int8_t *t, VW *lo, VW *hi) {
  uint8x8_t b = vld1_u8(p);
  int8x16_t table = vld1q_s8(t);
  *lo = vmovl_s8(vqtbl1_s8(table, vand_u8(b, vdup_n_u8(15))));
  *hi = vmovl_s8(vqtbl1_s8(table, vshr_n_u8(b, 4)));
}
#include "kernels_narrow.h"
