package quant

import (
	_ "embed"
	"encoding/binary"
	"math"
	"math/bits"
)

// gridBytes holds the six lookup grids, found by search in ggml-common.h: uint16 a entry, 2 or 3 bits an
// element, expanded below by each grid's map of digits.
//
//go:embed grids.bin
var gridBytes []byte

type grid8 = [8]float32
type grid4 = [4]float32

var (
	grid2xxs = makeGrid8(0, 256, [4]float32{8, 25, 43})
	grid2xs  = makeGrid8(256, 512, [4]float32{8, 25, 43})
	grid2s   = makeGrid8(768, 1024, [4]float32{8, 25, 43})
	grid3xxs = makeGrid4(1792, 256, [8]float32{4, 12, 20, 28, 36, 44, 52, 62})
	grid3s   = makeGrid4(2048, 512, [8]float32{1, 3, 5, 7, 9, 11, 13, 15})
	grid1s   = makeGrid8(2560, 2048, [4]float32{-1, 0, 1})
)

func makeGrid8(first, n int, digits [4]float32) []grid8 {
	g := make([]grid8, n)
	for i := range g {
		e := binary.LittleEndian.Uint16(gridBytes[2*(first+i):])
		for j := range 8 {
			g[i][j] = digits[e>>(2*j)&3]
		}
	}
	return g
}

func makeGrid4(first, n int, digits [8]float32) []grid4 {
	g := make([]grid4, n)
	for i := range g {
		e := binary.LittleEndian.Uint16(gridBytes[2*(first+i):])
		for j := range 4 {
			g[i][j] = digits[e>>(3*j)&7]
		}
	}
	return g
}

// evenSigns completes seven sign bits to eight with an even number of minus signs (ggml's ksigns_iq2xs).
func evenSigns(v uint32) byte {
	v &= 127
	return byte(v) | byte(bits.OnesCount32(v)&1)<<7
}

// signed is ±v: minus when bit j of signs is set.
func signed(v float32, signs byte, j int) float32 {
	if signs>>j&1 != 0 {
		return -v
	}
	return v
}

func put8(dst []float32, scale float32, g *grid8, signs byte) {
	for j := range 8 {
		dst[j] = signed(float32(scale*g[j]), signs, j)
	}
}

func put4(dst []float32, scale float32, g *grid4, signs byte, from int) {
	for j := range 4 {
		dst[j] = signed(float32(scale*g[j]), signs, from+j)
	}
}

func decodeIQ2XXS(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[66:] {
		d := half(b, 0)
		for k := range 8 {
			q := b[2+8*k:]
			a := u32(q, 4)
			scale := float32(d*(0.5+float32(a>>28))) * 0.25
			for l := range 4 {
				put8(dst[32*k+8*l:], scale, &grid2xxs[q[l]], evenSigns(a>>(7*l)))
			}
		}
	}
}

func decodeIQ2XS(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[74:] {
		d := half(b, 0)
		for i := range 32 {
			q := u16(b, 2+2*i)
			scale := float32(d*(0.5+float32(b[66+i/4]>>(4*(i%4/2))&15))) * 0.25
			put8(dst[8*i:], scale, &grid2xs[q&511], evenSigns(uint32(q>>9)))
		}
	}
}

func decodeIQ2S(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[82:] {
		d := half(b, 0)
		for i := range 32 {
			index := uint16(b[2+i]) | uint16(b[66+i/4]>>(2*(i%4))&3)<<8
			scale := float32(d*(0.5+float32(b[74+i/4]>>(4*(i%4/2))&15))) * 0.25
			put8(dst[8*i:], scale, &grid2s[index], b[34+i])
		}
	}
}

func decodeIQ3XXS(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[98:] {
		d := half(b, 0)
		for k := range 8 {
			a := u32(b, 66+4*k)
			scale := float32(d*(0.5+float32(a>>28))) * 0.5
			for l := range 4 {
				signs := evenSigns(a >> (7 * l))
				put4(dst[32*k+8*l:], scale, &grid3xxs[b[2+8*k+2*l]], signs, 0)
				put4(dst[32*k+8*l+4:], scale, &grid3xxs[b[2+8*k+2*l+1]], signs, 4)
			}
		}
	}
}

func decodeIQ3S(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[110:] {
		d := half(b, 0)
		for i := range 64 { // groups of four elements
			k := i / 8
			index := uint16(b[2+i]) | uint16(b[66+k]>>(i%8)&1)<<8
			scale := d * float32(1+2*int(b[106+k/2]>>(4*(k%2))&15))
			put4(dst[4*i:], scale, &grid3s[index], b[74+i/2], 4*(i%2))
		}
	}
}

// put1 writes scale·(grid + delta) for the 1-bit types.
func put1(dst []float32, scale, delta float32, g *grid8) {
	for j := range 8 {
		dst[j] = scale * (g[j] + delta)
	}
}

func decodeIQ1S(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[50:] {
		d := half(b, 0)
		for k := range 8 {
			h := u16(b, 34+2*k)
			scale, delta := d*float32(2*int(h>>12&7)+1), float32(0.125)
			if h&0x8000 != 0 {
				delta = -0.125
			}
			for l := range 4 {
				put1(dst[32*k+8*l:], scale, delta, &grid1s[uint16(b[2+4*k+l])|h>>(3*l)&7<<8])
			}
		}
	}
}

func decodeIQ1M(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[56:] {
		var s [4]uint16
		for i := range s {
			s[i] = u16(b, 48+2*i)
		}
		d := halfToFloat(s[0]>>12 | s[1]>>8&0xf0 | s[2]>>4&0xf00 | s[3]&0xf000)
		for i := range 32 {
			k, l := i/4, i%4
			n := b[32+2*k+l/2] >> (4 * (l % 2)) & 15
			scale, delta := d*float32(2*int(s[k/2]>>(6*(k%2)+3*(l/2))&7)+1), float32(0.125)
			if n&8 != 0 {
				delta = -0.125
			}
			put1(dst[8*i:], scale, delta, &grid1s[uint16(b[i])|uint16(n&7)<<8])
		}
	}
}

var iq4Values = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// fp4Values are the values of e2m1, doubled.
var fp4Values = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

func decodeTable32(dst []float32, d float32, table *[16]int8, q []byte) {
	for i, v := range q[:16] {
		dst[i] = d * float32(table[v&15])
		dst[i+16] = d * float32(table[v>>4])
	}
}

func decodeIQ4NL(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[18:] {
		decodeTable32(dst, half(b, 0), &iq4Values, b[2:])
	}
}

func expandIQ4NL(codes []int8, scales, mins []float32, b []byte) { expandQ4_0(codes, scales, mins, b) }

// scaleIQ4XS is the scale of sub-block k.
func scaleIQ4XS(b []byte, k int) float32 {
	ls := int(b[4+k/2]>>(4*(k%2))&15) | int(u16(b, 2)>>(2*k)&3)<<4
	return half(b, 0) * float32(ls-32)
}

func decodeIQ4XS(dst []float32, b []byte) {
	for ; len(dst) >= 256; dst, b = dst[256:], b[136:] {
		for k := range 8 {
			decodeTable32(dst[32*k:], scaleIQ4XS(b, k), &iq4Values, b[8+16*k:])
		}
	}
}

func expandIQ4XS(codes []int8, scales, _ []float32, b []byte) {
	for ; len(codes) >= 256; codes, scales, b = codes[256:], scales[8:], b[136:] {
		for k := range 8 {
			scales[k] = scaleIQ4XS(b, k)
			spreadNibbles(codes[32*k:], b[8+16*k:])
		}
	}
}

// scaleMXFP4 is 2^(e−128), a subnormal for e < 2; 255 is the next power of two, not NaN (ggml's
// GGML_E8M0_TO_FP32_HALF).
func scaleMXFP4(e byte) float32 {
	if e < 2 {
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

func decodeMXFP4(dst []float32, b []byte) {
	for ; len(dst) >= 32; dst, b = dst[32:], b[17:] {
		decodeTable32(dst, scaleMXFP4(b[0]), &fp4Values, b[1:])
	}
}

func expandMXFP4(codes []int8, scales, _ []float32, b []byte) {
	for i := range scales {
		scales[i] = scaleMXFP4(b[17*i])
		spreadNibbles(codes[32*i:], b[17*i+1:])
	}
}

// scaleNVFP4 is an unsigned e4m3 number, halved since fp4Values are doubled. The top bit is ignored
// below 0xff, 0x7f is zero (ggml's ue4m3 conversion).
func scaleNVFP4(x byte) float32 {
	if x == 0 || x == 0x7f {
		return 0
	}
	e, m := int(x>>3&15), float32(x&7)
	if e == 0 {
		return float32(m*(1.0/512)) * 0.5
	}
	return float32((1+m/8)*float32(math.Ldexp(1, e-7))) * 0.5
}

func decodeNVFP4(dst []float32, b []byte) {
	for ; len(dst) >= 64; dst, b = dst[64:], b[36:] {
		for s := range 4 {
			d := scaleNVFP4(b[s])
			for r, v := range b[4+8*s:][:8] {
				dst[16*s+r] = float32(fp4Values[v&15]) * d
				dst[16*s+8+r] = float32(fp4Values[v>>4]) * d
			}
		}
	}
}
