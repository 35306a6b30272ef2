package quant

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// nibble is element i of 16 bytes: low nibbles first, then high ones.
func nibble(p []byte, i int) byte {
	if i < 16 {
		return p[i] & 15
	}
	return p[i-16] >> 4
}

func decodeQ4_0(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[18:] {
		d, q := half(b, 0), b[2:18]
		for i, v := range q {
			dst[i] = float32(int(v&15)-8) * d
			dst[i+16] = float32(int(v>>4)-8) * d
		}
	}
}

func decodeQ4_1(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[20:] {
		d, m, q := half(b, 0), half(b, 2), b[4:20]
		for i, v := range q {
			dst[i] = float32(float32(v&15)*d) + m
			dst[i+16] = float32(float32(v>>4)*d) + m
		}
	}
}

// code5 is element i of a Q5 block: four bits of q, the fifth of high.
func code5(q []byte, high uint32, i int) int { return int(nibble(q, i)) | int(high>>i&1)<<4 }

func decodeQ5_0(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[22:] {
		d, high := half(b, 0), binary.LittleEndian.Uint32(b[2:])
		for i := range 32 {
			dst[i] = float32(code5(b[6:22], high, i)-16) * d
		}
	}
}

func decodeQ5_1(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[24:] {
		d, m, high := half(b, 0), half(b, 2), binary.LittleEndian.Uint32(b[4:])
		for i := range 32 {
			dst[i] = float32(float32(code5(b[8:24], high, i))*d) + m
		}
	}
}

func decodeQ8_0(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[34:] {
		d := half(b, 0)
		for i, v := range b[2:34] {
			dst[i] = float32(int8(v)) * d
		}
	}
}

func decodeQ8K(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[292:] {
		d := math.Float32frombits(binary.LittleEndian.Uint32(b))
		for i, v := range b[4:260] {
			dst[i] = d * float32(int8(v))
		}
	}
}

func decodeQ1_0(dst []float32, b []byte) {
	for ; len(dst) >= 128; dst, b = dst[128:], b[18:] {
		d := half(b, 0)
		for i := range 128 {
			if b[2+i/8]>>(i%8)&1 != 0 {
				dst[i] = d
			} else {
				dst[i] = -d
			}
		}
	}
}

func decodeQ2_0(dst []float32, b []byte) {
	for ; len(dst) >= 64; dst, b = dst[64:], b[18:] {
		d := half(b, 0)
		for i := range 64 {
			dst[i] = float32(int(b[2+i/4]>>(2*(i%4))&3)-1) * d
		}
	}
}

// asCodes views bytes as signed codes.
func asCodes(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// spreadNibbles writes 16 low nibbles, then 16 high ones.
func spreadNibbles(codes []int8, q []byte) {
	_, _ = codes[31], q[15]
	lo, hi := binary.LittleEndian.Uint64(q), binary.LittleEndian.Uint64(q[8:])
	const low = 0x0f0f0f0f0f0f0f0f
	out := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), 32)
	binary.LittleEndian.PutUint64(out, lo&low)
	binary.LittleEndian.PutUint64(out[8:], hi&low)
	binary.LittleEndian.PutUint64(out[16:], lo>>4&low)
	binary.LittleEndian.PutUint64(out[24:], hi>>4&low)
}

func expandQ4_0(codes []int8, scales, _ []float32, b []byte) {
	for i := range scales {
		scales[i] = half(b, 18*i)
		spreadNibbles(codes[32*i:], b[18*i+2:])
	}
}

func expandQ4_1(codes []int8, scales, mins []float32, b []byte) {
	for i := range scales {
		scales[i], mins[i] = half(b, 20*i), half(b, 20*i+2)
		spreadNibbles(codes[32*i:], b[20*i+4:])
	}
}

func expandQ5_0(codes []int8, scales, _ []float32, b []byte) {
	for i := range scales {
		p := b[22*i : 22*i+22]
		scales[i] = half(p, 0)
		expand5(codes[32*i:], p[6:], binary.LittleEndian.Uint32(p[2:]), 16)
	}
}

func expandQ5_1(codes []int8, scales, mins []float32, b []byte) {
	for i := range scales {
		p := b[24*i : 24*i+24]
		scales[i], mins[i] = half(p, 0), half(p, 2)
		expand5(codes[32*i:], p[8:], binary.LittleEndian.Uint32(p[4:]), 0)
	}
}

func expand5(codes []int8, q []byte, high uint32, offset int8) {
	_, _ = codes[31], q[15]
	for i := range 16 {
		codes[i] = int8(q[i]&15|byte(high>>i&1)<<4) - offset
		codes[i+16] = int8(q[i]>>4|byte(high>>(i+16)&1)<<4) - offset
	}
}

func expandQ8_0(codes []int8, scales, _ []float32, b []byte) {
	for i := range scales {
		p := b[34*i : 34*i+34]
		scales[i] = half(p, 0)
		*(*[32]int8)(codes[32*i:]) = *(*[32]int8)(asCodes(p[2:]))
	}
}
