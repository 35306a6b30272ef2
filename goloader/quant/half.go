package quant

import (
	"encoding/binary"
	"math"
)

// halfToFloat is exact for every half; subnormals are kept. NaNs keep their payload's top bits.
func halfToFloat(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	magnitude := uint32(h & 0x7fff)
	switch {
	case magnitude >= 0x7c00: // infinity, NaN
		return math.Float32frombits(sign | 0x7f800000 | (magnitude&0x3ff)<<13)
	case magnitude >= 0x400: // normal: move the exponent's bias from 15 to 127
		return math.Float32frombits(sign | (magnitude<<13 + (127-15)<<23))
	}
	f := float32(magnitude) * (1.0 / (1 << 24)) // subnormal: magnitude·2^-24, exact
	return math.Float32frombits(sign | math.Float32bits(f))
}

func half(b []byte, at int) float32 {
	return halfToFloat(uint16(b[at]) | uint16(b[at+1])<<8)
}

func decodeF32(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

func decodeF16(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = half(b, 2*i)
	}
}

func decodeBF16(dst []float32, b []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
}
