/* IEEE halves and float32. */
#ifndef GSK_HALF_H
#define GSK_HALF_H

#include <stdint.h>
#include <string.h>

/* All ones where the condition holds: without branches, compilers take several halves at a time. */
#define MASK(condition) (-(uint32_t)(condition))

static inline float half_to_float(uint16_t h) {
  const uint32_t bias = (127 - 15) << 23;
  int32_t m = h & 0x7fff;
  float f = (float)m * 0x1p-24f; /* subnormal */
  uint32_t small, normal = MASK(m >= 0x400);
  memcpy(&small, &f, 4);
  uint32_t large = ((uint32_t)m << 13) + bias + (bias & MASK(m >= 0x7c00)); /* infinity, NaN */
  uint32_t bits = (large & normal) | (small & ~normal) | (uint32_t)(h & 0x8000) << 16;
  memcpy(&f, &bits, 4);
  return f;
}
#undef MASK

/* float32 that is exactly a half → the half's bits (quant.CodesForm.HalfScale promises it). */
static inline uint16_t float_to_half(float f) {
  uint32_t b;
  memcpy(&b, &f, 4);
  uint32_t sign = b >> 16 & 0x8000, magnitude = b & 0x7fffffff;
  if (magnitude >= 0x38800000) return (uint16_t)(sign | ((magnitude - ((127u - 15) << 23)) >> 13));
  float positive;
  memcpy(&positive, &magnitude, 4);
  return (uint16_t)(sign | (uint32_t)(positive * 0x1p24f)); /* subnormal */
}

#endif
