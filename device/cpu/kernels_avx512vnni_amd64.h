/* The dot products of AVX-512 VNNI. One-line assembly: gcc hoists all broadcasts of the intrinsics and spills, clang
 * turns vpdpwssd into two instructions. */
GSK_OP VI dot(VI acc, VI a, VW w) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w));
  return acc;
}
typedef __m512i VB, VQ;
GSK_OP VQ quad(const void *p) { return pair(p); }
GSK_OP VB loadBytes(const uint8_t *p) { return loadRaw(p); }
GSK_OP void loadNibbleBytes(const uint8_t *p, const int8_t *t, VB *lo, VB *hi) {
  loadRawNibbles(p, t, lo, hi);
}
GSK_OP VI dotBytes(VI acc, VQ q, VB w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(q), "v"(w));
  return acc;
}
