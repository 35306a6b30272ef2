package main

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"

	"github.com/x448/float16"
)

func sqrt(x float64) float64 { return math.Sqrt(x) }

func (t *tensorSpec) bytes() int64 {
	n, _ := t.shape.Elements()
	if t.typeID == typeQ80 {
		return n / 32 * 34
	}
	return n * 4
}

// valuesAtATime is a multiple of 32.
const valuesAtATime = 1 << 18

// write draws the values and writes them as F32 or Q8_0.
func (t *tensorSpec) write(w io.Writer, seed uint32) error {
	n, _ := t.shape.Elements()
	for first := int64(0); first < n; first += valuesAtATime {
		values := make([]float32, min(valuesAtATime, n-first))
		t.draw(values, seed, first)
		raw := encodeF32(values)
		if t.typeID == typeQ80 {
			raw = encodeQ80(values)
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// draw fills in mean + std·bell; of a vector with outliers every 97th value is that.
func (t *tensorSpec) draw(values []float32, seed uint32, first int64) {
	key := uint64(crc32.ChecksumIEEE([]byte(t.name)))<<32 | uint64(seed)
	for i := range values {
		v := bell(key, uint64(first)+uint64(i)) * float32(t.std)
		if t.mean != 0 {
			v += float32(t.mean)
		}
		if t.outliers != 0 && (first+int64(i))%97 == 13 {
			v = float32(t.outliers)
		}
		values[i] = v
	}
}

// bell is close to a standard normal distribution: the SplitMix64 finaliser of a counter, its four 16-bit
// lanes summed, centred and scaled (Irwin-Hall).
func bell(key, i uint64) float32 {
	z := (i+1)*0x9E3779B97F4A7C15 + key
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	total := int32(z&0xffff) + int32(z>>16&0xffff) + int32(z>>32&0xffff) + int32(z>>48)
	return float32(total-131070) * float32(1/37837.0)
}

func encodeF32(values []float32) []byte {
	out := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(v))
	}
	return out
}

// encodeQ80 quantises as gguf-py does: d = max|x|/127, codes rounded half away from zero with the
// unrounded d.
func encodeQ80(values []float32) []byte {
	out := make([]byte, 0, len(values)/32*34)
	for ; len(values) > 0; values = values[32:] {
		largest := float32(0)
		for _, v := range values[:32] {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		d, id := largest/127, float32(0)
		if d != 0 {
			id = 1 / d
		}
		out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(d).Bits())
		for _, v := range values[:32] {
			out = append(out, byte(int8(math.Round(float64(float32(v*id))))))
		}
	}
	return out
}
