/* Stores of 16 integral numbers for sets without instructions for it; see kernels_body.h. */
GSK_OP void storeShorts(int16_t *p, const V *v) {
  float lane[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16 / LANES; i++) store(lane + i * LANES, v[i]);
  for (int i = 0; i < 16; i++) p[i] = (int16_t)(int32_t)lane[i];
}
GSK_OP void storeAbove(uint8_t *p, const float *x, V q, const int n, float below) {
  float lane[64] __attribute__((aligned(64)));
  for (int i = 0; i < n; i += LANES)
    store(lane + i, minV(sub(roundV(mul(load(x + i), q)), set1(below)), set1(255.0f)));
  for (int i = 0; i < n; i++) p[i] = (uint8_t)(int32_t)lane[i];
}
GSK_OP void storeBytes(uint8_t *p, const V *v) {
  float lane[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16 / LANES; i++) store(lane + i * LANES, v[i]);
  for (int i = 0; i < 16; i++) p[i] = (uint8_t)(int32_t)lane[i];
}
GSK_OP void storeHighBytes(uint8_t *p, const V *v) {
  float lane[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16 / LANES; i++) store(lane + i * LANES, v[i]);
  for (int i = 0; i < 16; i++) p[i] = (uint8_t)((int32_t)lane[i] >> 8);
}
