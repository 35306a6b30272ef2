/* Elementary functions and reductions over a set's inline operations (kernels_body.h). */
/* 2^y, −125 ≤ y ≤ 126: adding 1.5·2^23 rounds to an integer; a degree-6 polynomial on the rest in [−½, ½]. */
GSK_INLINE V exp2V(V y) {
  V t = add(y, set1(0x1.8p23f)), f = sub(y, sub(t, set1(0x1.8p23f))), p = set1(0.000154780044f);
  p = fmaV(p, f, set1(0.00134004317f));
  p = fmaV(p, f, set1(0.00961799458f));
  p = fmaV(p, f, set1(0.0555032722f));
  p = fmaV(p, f, set1(0.240226515f));
  p = fmaV(p, f, set1(0.693147207f));
  p = fmaV(p, f, set1(1.0f));
  return scale2(p, t);
}

/* x·Φ(x), the exact GELU. Φ(−|x|) = 2^−(1+q(|x|)) with q a degree-10 polynomial on [0, 6], so that nothing
 * cancels for negative x (max error 4e-7). */
GSK_INLINE V geluV(V x) {
  V a = minV(maxV(x, sub(set1(0.0f), x)), set1(6.0f)), p = set1(1.23157711e-08f);
  p = fmaV(p, a, set1(-4.14629454e-07f));
  p = fmaV(p, a, set1(5.93795014e-06f));
  p = fmaV(p, a, set1(-4.52699041e-05f));
  p = fmaV(p, a, set1(0.000164232784f));
  p = fmaV(p, a, set1(0.000260750353f));
  p = fmaV(p, a, set1(-0.0073000401f));
  p = fmaV(p, a, set1(0.0527117274f));
  p = fmaV(p, a, set1(0.459117203f));
  p = fmaV(p, a, set1(1.15111938f));
  p = fmaV(p, a, set1(1.0f - 3.60598743e-07f));
  V t = exp2V(sub(set1(0.0f), p));
  return mul(x, selectV(x, t, sub(set1(1.0f), t)));
}

/* x/(1+e^−x) */
GSK_INLINE V siluV(V x) {
  V e = exp2V(maxV(minV(mul(x, set1(-1.44269504f)), set1(126.0f)), set1(-125.0f)));
  return divV(x, add(set1(1.0f), e));
}

/* The sum of 16 virtual lanes in one fixed order: lane i + lane i+8, then +4, +2, +1. */
GSK_INLINE float fold(const V *parts) {
  V half[PARTS];
  GSK_UNROLL for (int i = 0; i < PARTS; i++) half[i] = parts[i];
  GSK_UNROLL for (int n = PARTS / 2; n > 0; n /= 2) GSK_UNROLL for (int i = 0; i < n; i++)
      half[i] = add(half[i], half[i + n]);
  return sumLanes(half[0]);
}

GSK_INLINE float foldMax(const V *parts) {
  V m = parts[0];
  GSK_UNROLL for (int i = 1; i < PARTS; i++) m = maxV(m, parts[i]);
  return maxLanes(m);
}

/* Rows whose length is no multiple of 16 end in a copy of 16 floats, filled up with `fill`. */
GSK_INLINE const float *tail(const float *p, int64_t i, int64_t n, float fill, float *copy) {
  if (i + GSK_LANES <= n) return p + i;
  for (int j = 0; j < GSK_LANES; j++) copy[j] = i + j < n ? p[i + j] : fill;
  return copy;
}

GSK_INLINE void storeTail(float *p, int64_t i, int64_t n, const V *parts) {
  if (i + GSK_LANES <= n) {
    for (int v = 0; v < PARTS; v++) store(p + i + v * LANES, parts[v]);
    return;
  }
  float copy[GSK_LANES] __attribute__((aligned(64)));
  for (int v = 0; v < PARTS; v++) store(copy + v * LANES, parts[v]);
  memcpy(p + i, copy, (size_t)(n - i) * sizeof(float));
}
