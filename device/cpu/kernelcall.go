package cpu

/*
#include <exec.h>

static void gsk_call_linear(const gsk_kernel_set *s, gsk_linear g, const gsk_matrix *w, int64_t r0, int64_t r1,
                            int64_t p0, int64_t p1) {
  g.w = w;
  s->linear(&g, r0, r1, p0, p1);
}
static void gsk_call_prepare_exact(const gsk_kernel_set *s, gsk_form f, const float *x, int64_t k, void *codes, float *scale,
                                   int32_t *zeros, int32_t *sums) {
  s->prepare_exact(&f, x, k, codes, scale, zeros, sums);
}
static void gsk_call_prepare_fast(const gsk_kernel_set *s, gsk_form f, const float *x, int64_t stride, int64_t rows, int64_t k,
                                  uint8_t *codes, float *scales, int32_t *zeros, int32_t *sums) {
  s->prepare_fast(&f, x, stride, rows, k, codes, scales, zeros, sums);
}
static void gsk_call_prepare_words(const gsk_kernel_set *s, const float *x, int64_t k, int16_t *codes, float *scale) {
  s->prepare_words(x, k, codes, scale);
}
static void gsk_call_norm(const gsk_kernel_set *s, gsk_norm g) { s->norm(&g); }
static void gsk_call_activate(const gsk_kernel_set *s, int fast, int kind, const float *in, float *out, int64_t n) {
  (fast ? s->activate_fast : s->activate)(kind, in, out, n);
}
static void gsk_call_rotate(const gsk_kernel_set *s, float *row, const float *table, int64_t heads, int64_t size) {
  s->rotate(row, table, heads, size);
}
static void gsk_call_attention(const gsk_kernel_set *s, gsk_attention_of of, gsk_attention g) {
  s->attention[of](&g, 0, g.heads);
}
static void gsk_call_mean(const gsk_kernel_set *s, const float *x, int64_t stride, int64_t rows, float *out, int64_t n) {
  s->mean(x, stride, rows, out, n);
}
static void gsk_call_read_row(gsk_read_row read, const uint8_t *row, float *out, int64_t n) { read(row, out, n); }
*/
import "C"

import (
	"unsafe"

	"gguf-stream/device"
)

// Single kernels of a set for tests, which cannot import "C". Slices lie outside the Go heap.

func floats(s []float32) *C.float { return (*C.float)(unsafe.SliceData(s)) }

// preparedRows are activations as codes, codesStride bytes apart, scales [rows][scalesPerRow], zeros
// [rows][k/activationBlock], sums [rows][k/16], or nil where no matrix has mins; and room for a panel that is widened.
type preparedRows struct {
	codes   []byte
	scales  []float32
	zeros   []int32
	sums    []int32
	widened []byte
}

// activationBlock is k that share a zero, and in fast precision a scale, of activations for a matrix.
func (s *kernelSet) activationBlock(of device.TensorSpec, p device.Precision) int {
	form := s.form(of, p)
	return int(C.gsk_activation_block(&form))
}

func (s *kernelSet) scalesPerRow(of device.TensorSpec, p device.Precision) int {
	if s.arithmetic(of, p) == FastCodes {
		return int(of.Shape.Columns()) / s.activationBlock(of, p)
	}
	return 1
}

func codesStride(k int) int { return int(C.gsk_codes_stride(C.int64_t(k))) }

func floatsStride(k int) int { return int(C.gsk_floats_stride(C.int64_t(k))) }

// codesBytes is what a row's codes take for a matrix. Words are written 16 at a time.
func (s *kernelSet) codesBytes(of device.TensorSpec, p device.Precision) int {
	form, k := s.form(of, p), C.int64_t(of.Shape.Columns())
	if C.gsk_takes_bytes(&form) != 0 {
		return int(k)
	}
	return 2 * int(C.gsk_up(k, C.GSK_LANES))
}

// widenedBytes is the room that a product with a matrix needs.
func (s *kernelSet) widenedBytes(of device.TensorSpec, p device.Precision) int64 {
	form := s.form(of, p)
	return int64(C.gsk_widened_bytes(s.c, &form, C.int64_t(of.Shape.Columns())))
}

// code is the i-th code of the first row, prepared for a matrix, less its zero.
func (a preparedRows) code(s *kernelSet, of device.TensorSpec, p device.Precision, i int) int32 {
	form := s.form(of, p)
	switch {
	case C.gsk_takes_bytes(&form) != 0:
		zero := int32(int16(a.zeros[i/s.activationBlock(of, p)]))
		if s.c.nibbles != 0 {
			return int32(int8(a.codes[i])) + zero
		}
		return int32(a.codes[i]) + zero
	case form.unit == 4:
		at := i/32*64 + i%32
		high, low := int32(int8(a.codes[at])), int32(a.codes[at+32])
		if form.zero != 0 {
			low = int32(int8(a.codes[at+32]))
		}
		return high<<8 + low
	}
	return int32(int16(uint16(a.codes[2*i]) | uint16(a.codes[2*i+1])<<8))
}

// prepare prepares rows, stride floats apart, for a matrix.
func (s *kernelSet) prepare(of device.TensorSpec, p device.Precision, x []float32, stride, rows int, to preparedRows) {
	k, form, arithmetic := int(of.Shape.Columns()), s.form(of, p), s.arithmetic(of, p)
	if arithmetic == FastCodes {
		C.gsk_call_prepare_fast(s.c, form, floats(x), C.int64_t(stride), C.int64_t(rows), C.int64_t(k), (*C.uint8_t)(unsafe.SliceData(to.codes)),
			floats(to.scales), (*C.int32_t)(unsafe.SliceData(to.zeros)), (*C.int32_t)(unsafe.SliceData(to.sums)))
		return
	}
	for r := range rows {
		row, codes, scale := floats(x[r*stride:]), unsafe.Pointer(&to.codes[r*codesStride(k)]), floats(to.scales[r:])
		if arithmetic == Words {
			C.gsk_call_prepare_words(s.c, row, C.int64_t(k), (*C.int16_t)(codes), scale)
			continue
		}
		zeros, sums := unsafe.SliceData(to.zeros[r*k/C.GSK_BLOCK:]), to.sums
		if sums != nil {
			sums = sums[r*k/C.GSK_LANES:]
		}
		C.gsk_call_prepare_exact(s.c, form, row, C.int64_t(k), codes, scale, (*C.int32_t)(zeros), (*C.int32_t)(unsafe.SliceData(sums)))
	}
}

// window is the part of a product that a call computes: rows [r0, r1), panels [p0, p1).
type window struct{ r0, r1, p0, p1 int }

func (s *kernelSet) linear(p *packer, g C.gsk_linear, w window) {
	C.gsk_call_linear(s.c, g, p.matrix, C.int64_t(w.r0), C.int64_t(w.r1), C.int64_t(w.p0), C.int64_t(w.p1))
}

// linearCodes multiplies prepared rows.
func (s *kernelSet) linearCodes(p *packer, a preparedRows, bias, out []float32, outStride int, w window) {
	s.linear(p, C.gsk_linear{bias: floats(bias), out: floats(out), out_stride: C.int64_t(outStride),
		widened: (*C.uint8_t)(unsafe.SliceData(a.widened)), a: C.gsk_rows{
			data: unsafe.Pointer(unsafe.SliceData(a.codes)), stride: C.gsk_codes_stride(p.matrix.k), scales: floats(a.scales),
			zeros: (*C.int32_t)(unsafe.SliceData(a.zeros)), sums: (*C.int32_t)(unsafe.SliceData(a.sums))}}, w)
}

// linearFloats multiplies rows of floats, stride floats apart.
func (s *kernelSet) linearFloats(p *packer, x []float32, stride int, bias, out []float32, outStride int, w window) {
	s.linear(p, C.gsk_linear{bias: floats(bias), out: floats(out), out_stride: C.int64_t(outStride),
		a: C.gsk_rows{data: unsafe.Pointer(unsafe.SliceData(x)), stride: C.int64_t(4 * stride)}}, w)
}

// norm takes rows of x, add and out stride floats apart.
func (s *kernelSet) norm(x, add []float32, stride, rows int, w, b, out []float32, epsilon float32) {
	apart := C.int64_t(stride)
	C.gsk_call_norm(s.c, C.gsk_norm{x: floats(x), add: floats(add), weight: floats(w), bias: floats(b), out: floats(out), x_stride: apart,
		add_stride: apart, out_stride: apart, rows: C.int64_t(rows), n: C.int64_t(len(w)), epsilon: C.float(epsilon)})
}

func (s *kernelSet) activate(p device.Precision, a device.Activation, in, out []float32, n int) {
	C.gsk_call_activate(s.c, C.int(p), C.int(a), floats(in), floats(out), C.int64_t(n))
}

func (s *kernelSet) rotate(row, table []float32, heads, size int) {
	C.gsk_call_rotate(s.c, floats(row), floats(table), C.int64_t(heads), C.int64_t(size))
}

// attentionShape is one text's: rows × heads × head size, rows stride and outStride floats apart.
type attentionShape struct{ rows, heads, size, stride, outStride int }

func (a attentionShape) scratchFloats() int {
	return int(C.gsk_attention_scratch(C.int64_t(a.rows), C.int64_t(a.size)))
}

func (s *kernelSet) attention(of attentionOf, a attentionShape, qkv, out, scratch []float32, scale float32) {
	C.gsk_call_attention(s.c, C.gsk_attention_of(of), C.gsk_attention{qkv: floats(qkv), out: floats(out), scratch: floats(scratch),
		stride: C.int64_t(a.stride), out_stride: C.int64_t(a.outStride), rows: C.int64_t(a.rows), heads: C.int64_t(a.heads),
		head_size: C.int64_t(a.size), scale: C.float(scale)})
}

func (s *kernelSet) mean(x []float32, stride, rows int, out []float32) {
	C.gsk_call_mean(s.c, floats(x), C.int64_t(stride), C.int64_t(rows), floats(out), C.int64_t(len(out)))
}

func readRow(typeName string, row []byte, out []float32) {
	C.gsk_call_read_row(fastPaths[typeName].read, (*C.uint8_t)(unsafe.SliceData(row)), floats(out), C.int64_t(len(out)))
}
