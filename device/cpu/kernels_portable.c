/* The portable set: plain C with fmaf. Correct everywhere and slow; the others must equal it. */
#include "half.h"
#include "kernels.h"

#include <math.h>
#include <string.h>

#define SET portable
#define FAST_UNIT 2
#define LANES 4
#define TILE_ROWS 2
#define TILE_VECS 1
#define ATTEND_ROWS 4
#define ATTEND_VECS 2
/* a small library matters more here: one copy of each function, whatever its constants, and loops */
#define GSK_INLINE static __attribute__((noinline))
#define GSK_UNROLL

typedef struct {
  float x[LANES];
} V;
typedef struct {
  int32_t x[LANES];
} VI;
typedef struct {
  int16_t x[2 * LANES];
} VW;

#define GSK_EACH for (int i = 0; i < LANES; i++)
GSK_OP V set1(float a) {
  V r;
  GSK_EACH
    r.x[i] = a;
  return r;
}
GSK_OP V load(const float *p) {
  V r;
  GSK_EACH
    r.x[i] = p[i];
  return r;
}
GSK_OP void store(float *p, V a) {
  GSK_EACH
    p[i] = a.x[i];
}
GSK_OP V add(V a, V b) {
  GSK_EACH
    a.x[i] += b.x[i];
  return a;
}
GSK_OP V sub(V a, V b) {
  GSK_EACH
    a.x[i] -= b.x[i];
  return a;
}
GSK_OP V mul(V a, V b) {
  GSK_EACH
    a.x[i] *= b.x[i];
  return a;
}
GSK_OP V divV(V a, V b) {
  GSK_EACH
    a.x[i] /= b.x[i];
  return a;
}
GSK_OP V sqrtV(V a) {
  GSK_EACH
    a.x[i] = __builtin_sqrtf(a.x[i]);
  return a;
}
GSK_OP V fmaV(V a, V b, V c) {
  GSK_EACH
    c.x[i] = fmaf(a.x[i], b.x[i], c.x[i]);
  return c;
}
GSK_OP V maxV(V a, V b) {
  GSK_EACH
    a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
  return a;
}
GSK_OP V minV(V a, V b) {
  GSK_EACH
    a.x[i] = a.x[i] < b.x[i] ? a.x[i] : b.x[i];
  return a;
}
GSK_OP V roundV(V a) {
  GSK_EACH
    a.x[i] = rintf(a.x[i]);
  return a;
}
GSK_OP V selectV(V m, V a, V b) {
  GSK_EACH
    a.x[i] = m.x[i] < 0 ? a.x[i] : b.x[i];
  return a;
}
GSK_OP V fromBits(const uint32_t *b) {
  V r;
  memcpy(&r, b, sizeof r);
  return r;
}
GSK_OP V scale2(V a, V t) {
  uint32_t x[LANES], n[LANES];
  memcpy(x, &a, sizeof x), memcpy(n, &t, sizeof n);
  GSK_EACH
    x[i] += n[i] << 23;
  return fromBits(x);
}
GSK_OP float sumLanes(V a) { return (a.x[0] + a.x[2]) + (a.x[1] + a.x[3]); }
GSK_OP float maxLanes(V a) {
  float m = a.x[0];
  GSK_EACH
    m = m > a.x[i] ? m : a.x[i];
  return m;
}
GSK_OP void transpose(V *r) {
  GSK_EACH
    for (int j = 0; j < i; j++) {
      float x = r[i].x[j];
      r[i].x[j] = r[j].x[i];
      r[j].x[i] = x;
    }
}
GSK_OP V maxRows(const V *r) {
  V m;
  GSK_EACH
    m.x[i] = maxLanes(r[i]);
  return m;
}
GSK_OP V loadBFloat(const uint16_t *p) {
  uint32_t b[LANES];
  GSK_EACH
    b[i] = (uint32_t)p[i] << 16;
  return fromBits(b);
}
GSK_OP V loadHalf(const uint16_t *p) {
  V r;
  GSK_EACH
    r.x[i] = half_to_float(p[i]);
  return r;
}
GSK_OP VI zeroI(void) {
  VI r = {{0}};
  return r;
}
GSK_OP V toFloat(VI a) {
  V r;
  GSK_EACH
    r.x[i] = (float)a.x[i];
  return r;
}
GSK_OP VI pair(const void *p) {
  VI r;
  int32_t v;
  memcpy(&v, p, 4);
  GSK_EACH
    r.x[i] = v;
  return r;
}
GSK_OP VI dot(VI acc, VI a, VW w) {
  GSK_EACH {
    int16_t x[2];
    memcpy(x, &a.x[i], 4);
    acc.x[i] += x[0] * w.x[2 * i] + x[1] * w.x[2 * i + 1];
  }
  return acc;
}
GSK_OP VW loadCodes(const uint8_t *p) {
  VW r;
  for (int i = 0; i < 2 * LANES; i++) r.x[i] = (int8_t)p[i];
  return r;
}
GSK_OP void loadNibbles(const uint8_t *p, const int8_t *t, VW *lo, VW *hi) {
  for (int i = 0; i < 2 * LANES; i++) {
    lo->x[i] = t[p[i] & 15];
    hi->x[i] = t[p[i] >> 4];
  }
}
GSK_OP void storePairs(void *p, V a, V b) {
  int16_t pairs[2 * LANES];
  GSK_EACH {
    pairs[2 * i] = (int16_t)(int32_t)rintf(a.x[i]);
    pairs[2 * i + 1] = (int16_t)(int32_t)rintf(b.x[i]);
  }
  memcpy(p, pairs, sizeof pairs);
}
#include "kernels_narrow.h"
#include "kernels_body.h"
