/* Stores of 16 integral numbers for sets without instructions for it; see kernels_body.h. */
GSK_OP void storeShorts(int16_t *p, const V *v) {
  float lane[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16 / LANES; i++) store(lane + i * LANES, v[i]);
  for (int i = 0; i < 16; i++) p[i] = (int16_t)(int32_t)lane[i];
}
GSK_OP void storeAbove(uint8_t *p, const V *y, float below) {
  float lane[16] __attribute__((aligned(64)));
  for (int i = 0; i < 16 / LANES; i++)
    store(lane + i * LANES, minV(sub(roundV(y[i]), set1(below)), set1(255.0f)));
  for (int i = 0; i < 16; i++) p[i] = (uint8_t)(int32_t)lane[i];
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
