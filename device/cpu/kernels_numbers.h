/* Elementary functions and reductions over a set's inline operations (kernels_body.h). */

/* The functions work on n ≤ STEP_VECS vectors in place, operation by operation: a polynomial is one chain, and vectors one
 * after another fill the processor's queue with operations that wait. */
#define EACH(n) GSK_UNROLL for (int i = 0; i < (n); i++)

/* p[i] = c[0]·x[i]^(count−1) + … + c[count−1] */
GSK_INLINE void polynomial(const int n, const V *x, const float *c, const int count, V *p) {
  EACH(n) p[i] = set1(c[0]);
  GSK_UNROLL for (int k = 1; k < count; k++) EACH(n) p[i] = fmaV(p[i], x[i], set1(c[k]));
}

/* 2^y, −125 ≤ y ≤ 126: adding 1.5·2^23 rounds to an integer; a degree-6 polynomial on the rest in [−½, ½]. */
GSK_INLINE void exp2V(const int n, V *y) {
  static const float c[] = {0.000154780044f,
                            0.00134004317f,
                            0.00961799458f,
                            0.0555032722f,
                            0.240226515f,
                            0.693147207f,
                            1.0f};
  V t[STEP_VECS], p[STEP_VECS];
  EACH(n) t[i] = add(y[i], set1(0x1.8p23f));
  EACH(n) y[i] = sub(y[i], sub(t[i], set1(0x1.8p23f)));
  polynomial(n, y, c, 7, p);
  EACH(n) y[i] = scale2(p[i], t[i]);
}

/* x·Φ(x), the exact GELU. Φ(−|x|) = 2^−(1+q(|x|)) with q a degree-10 polynomial on [0, 6], so that nothing
 * cancels for negative x (max error 4e-7). */
GSK_INLINE void geluV(const int n, V *x) {
  static const float c[] = {1.23157711e-08f,  -4.14629454e-07f,      5.93795014e-06f,
                            -4.52699041e-05f, 0.000164232784f,       0.000260750353f,
                            -0.0073000401f,   0.0527117274f,         0.459117203f,
                            1.15111938f,      1.0f - 3.60598743e-07f};
  V a[STEP_VECS], p[STEP_VECS];
  EACH(n) a[i] = minV(maxV(x[i], sub(set1(0.0f), x[i])), set1(6.0f));
  polynomial(n, a, c, 11, p);
  EACH(n) p[i] = sub(set1(0.0f), p[i]);
  exp2V(n, p);
  EACH(n) x[i] = mul(x[i], selectV(x[i], p[i], sub(set1(1.0f), p[i])));
}

/* The same, but Φ(x) = ½ + x·P(x²) where |x| < 4.15, with P a degree-7 polynomial; else 0 or 1, within 1.2e-7 (max error 8e-5,
 * far below a step of fast's codes): 12 steps instead of 29. */
GSK_INLINE void geluFastV(const int n, V *x) {
  static const float c[] = {-9.39837763e-10f, 8.19064638e-08f, -3.10359178e-06f, 6.77798598e-05f,
                            -0.00095721212f,  0.00932377111f,  -0.0655747056f,   0.398493975f};
  V u[STEP_VECS], s[STEP_VECS], p[STEP_VECS];
  EACH(n) u[i] = minV(maxV(x[i], set1(-4.15f)), set1(4.15f));
  EACH(n) s[i] = mul(u[i], u[i]);
  polynomial(n, s, c, 8, p);
  EACH(n) p[i] = fmaV(u[i], p[i], set1(0.5f));
  EACH(n) x[i] = mul(x[i], p[i]);
}

/* x/(1+e^−x) */
GSK_INLINE void siluV(const int n, V *x) {
  V e[STEP_VECS];
  EACH(n) e[i] = maxV(minV(mul(x[i], set1(-1.44269504f)), set1(126.0f)), set1(-125.0f));
  exp2V(n, e);
  EACH(n) x[i] = divV(x[i], add(set1(1.0f), e[i]));
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
