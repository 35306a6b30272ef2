package quant

import "encoding/binary"

func decodeQ2K(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[84:] {
		d, m := half(b, 80), half(b, 82)
		for i := range 256 {
			sc := b[i/16]
			q := b[16+32*(i/128)+i%32] >> (2 * (i % 128 / 32)) & 3
			dst[i] = float32(float32(d*float32(sc&15))*float32(q)) - float32(m*float32(sc>>4))
		}
	}
}

func expandQ2K(codes []int8, scales, mins []float32, b []byte) {
	for ; len(codes) >= 256; codes, scales, mins, b = codes[256:], scales[16:], mins[16:], b[84:] {
		d, m := half(b, 80), half(b, 82)
		for j := range 16 {
			scales[j], mins[j] = d*float32(b[j]&15), -(m * float32(b[j]>>4))
		}
		for i := range 256 {
			codes[i] = int8(b[16+32*(i/128)+i%32] >> (2 * (i % 128 / 32)) & 3)
		}
	}
}

// scaleQ3K is the scale of sub-block k, −32…31.
func scaleQ3K(s []byte, k int) int {
	low := s[k%8] & 15
	if k >= 8 {
		low = s[k-8] >> 4
	}
	return int(low|(s[8+k%4]>>(2*(k/4))&3)<<4) - 32
}

// codeQ3K is the code of element i, −4…3.
func codeQ3K(b []byte, i int) int {
	q := int(b[32+32*(i/128)+i%32] >> (2 * (i % 128 / 32)) & 3)
	if b[i%32]>>(i/32)&1 == 0 {
		q -= 4
	}
	return q
}

func decodeQ3K(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[110:] {
		d := half(b, 108)
		for i := range 256 {
			dst[i] = float32(d*float32(scaleQ3K(b[96:108], i/16))) * float32(codeQ3K(b, i))
		}
	}
}

func expandQ3K(codes []int8, scales, _ []float32, b []byte) {
	for ; len(codes) >= 256; codes, scales, b = codes[256:], scales[16:], b[110:] {
		d := half(b, 108)
		for k := range 16 {
			scales[k] = d * float32(scaleQ3K(b[96:108], k))
		}
		for i := range 256 {
			codes[i] = int8(codeQ3K(b, i))
		}
	}
}

// scaleMinK is the 6-bit scale and min of group j of Q4_K and Q5_K (ggml's get_scale_min_k4).
func scaleMinK(s []byte, j int) (sc, mn byte) {
	if j < 4 {
		return s[j] & 63, s[j+4] & 63
	}
	return s[j+4]&15 | s[j-4]>>6<<4, s[j+4]>>4 | s[j]>>6<<4
}

// groupsK writes the scales and mins of the eight groups of Q4_K and Q5_K.
func groupsK(scales, mins []float32, b []byte) {
	d, m := half(b, 0), half(b, 2)
	for j := range 8 {
		sc, mn := scaleMinK(b[4:16], j)
		scales[j], mins[j] = d*float32(sc), -(m * float32(mn))
	}
}

// codesQ4K writes a block's 256 codes, 0…15.
func codesQ4K(codes []int8, q []byte) {
	for g := range 4 {
		for l := range 32 {
			v := q[32*g+l]
			codes[64*g+l], codes[64*g+32+l] = int8(v&15), int8(v>>4)
		}
	}
}

func expandQ4K(codes []int8, scales, mins []float32, b []byte) {
	for ; len(codes) >= 256; codes, scales, mins, b = codes[256:], scales[8:], mins[8:], b[144:] {
		groupsK(scales, mins, b)
		codesQ4K(codes[:256], b[16:144])
	}
}

func expandQ5K(codes []int8, scales, mins []float32, b []byte) {
	for ; len(codes) >= 256; codes, scales, mins, b = codes[256:], scales[8:], mins[8:], b[176:] {
		groupsK(scales, mins, b)
		codesQ4K(codes[:256], b[48:176])
		for i := range 256 {
			codes[i] |= int8(b[16+i%32]>>(i/32)&1) << 4
		}
	}
}

// valuesK writes a block of Q4_K or Q5_K: (d·sc)·q − (m·mn).
func valuesK(dst []float32, codes *[256]int8, scales, mins *[8]float32) {
	for i, q := range codes {
		dst[i] = float32(scales[i/32]*float32(q)) + mins[i/32]
	}
}

func decodeQ4K(dst []float32, b []byte) {
	var codes [256]int8
	var scales, mins [8]float32
	for ; len(dst) >= 256; dst, b = dst[256:], b[144:] {
		expandQ4K(codes[:], scales[:], mins[:], b[:144])
		valuesK(dst, &codes, &scales, &mins)
	}
}

func decodeQ5K(dst []float32, b []byte) {
	var codes [256]int8
	var scales, mins [8]float32
	for ; len(dst) >= 256; dst, b = dst[256:], b[176:] {
		expandQ5K(codes[:], scales[:], mins[:], b[:176])
		valuesK(dst, &codes, &scales, &mins)
	}
}

// codesQ6K writes a block's 256 codes, −32…31.
func codesQ6K(codes []int8, b []byte) {
	for c := range 2 {
		ql, qh, out := b[64*c:], b[128+32*c:], codes[128*c:]
		for l := range 32 {
			h := qh[l]
			out[l] = int8(ql[l]&15|h&3<<4) - 32
			out[l+32] = int8(ql[l+32]&15|h>>2&3<<4) - 32
			out[l+64] = int8(ql[l]>>4|h>>4&3<<4) - 32
			out[l+96] = int8(ql[l+32]>>4|h>>6<<4) - 32
		}
	}
}

func expandQ6K(codes []int8, scales, _ []float32, b []byte) {
	for ; len(codes) >= 256; codes, scales, b = codes[256:], scales[16:], b[210:] {
		d := half(b, 208)
		for k := range 16 {
			scales[k] = d * float32(int8(b[192+k]))
		}
		codesQ6K(codes, b)
	}
}

func decodeQ6K(dst []float32, b []byte) {
	var codes [256]int8
	for ; len(dst) >= 256; dst, b = dst[256:], b[210:] {
		d := half(b, 208)
		codesQ6K(codes[:], b)
		for i, q := range codes {
			dst[i] = float32(d*float32(int8(b[192+i/16]))) * float32(q)
		}
	}
}

// trit is digit n of a byte that packs five base-3 digits as a fraction of 256.
func trit(v byte, power byte) float32 {
	return float32(int(uint16(v*power)*3>>8) - 1)
}

var powersOf3 = [5]byte{1, 3, 9, 27, 81}

func decodeTQ1_0(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[54:] {
		d := half(b, 52)
		for i := range 160 {
			dst[i] = trit(b[i%32], powersOf3[i/32]) * d
		}
		for i := range 80 {
			dst[160+i] = trit(b[32+i%16], powersOf3[i/16]) * d
		}
		for i := range 16 {
			dst[240+i] = trit(b[48+i%4], powersOf3[i/4]) * d
		}
	}
}

func decodeTQ2_0(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[66:] {
		d := half(b, 64)
		for i := range 256 {
			dst[i] = float32(int(b[32*(i/128)+i%32]>>(2*(i%128/32))&3)-1) * d
		}
	}
}

func u16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
