package encoder

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFinishByHand: the numbers are worked out on paper. Of (1, 2, 3, 4) the mean is 2.5 and the variance 1.25, so the
// layer norm is (−3, −1, 1, 3)/√(4·(1.25 + 10⁻⁵)); cut to two and normalised, the divisor goes: (−3, −1)/√10.
func TestFinishByHand(t *testing.T) {
	deviation := math.Sqrt(4 * (1.25 + 1e-5))
	for name, c := range map[string]struct {
		in   []float32
		f    Finishing
		want []float64
	}{
		"as it is":                 {[]float32{1, 2, 3, 4}, Finishing{Dimensions: 4}, []float64{1, 2, 3, 4}},
		"normalised":               {[]float32{3, 4}, Finishing{Dimensions: 2, Normalize: true}, []float64{0.6, 0.8}},
		"cut, then normalised":     {[]float32{1, 2, 3, 4}, Finishing{Dimensions: 2, Normalize: true}, []float64{1 / math.Sqrt(5), 2 / math.Sqrt(5)}},
		"cut, not normalised":      {[]float32{1, 2, 3, 4}, Finishing{Dimensions: 2}, []float64{1, 2}},
		"layer norm, cut":          {[]float32{1, 2, 3, 4}, Finishing{LayerNorm: true, Dimensions: 2}, []float64{-3 / deviation, -1 / deviation}},
		"layer norm, cut, norm":    {[]float32{1, 2, 3, 4}, Finishing{LayerNorm: true, Dimensions: 2, Normalize: true}, []float64{-3 / math.Sqrt(10), -1 / math.Sqrt(10)}},
		"layer norm of a constant": {[]float32{7, 7, 7}, Finishing{LayerNorm: true, Dimensions: 3, Normalize: true}, []float64{0, 0, 0}},
		"zeros":                    {[]float32{0, 0}, Finishing{Dimensions: 2, Normalize: true}, []float64{0, 0}},
	} {
		dst := make([]float32, c.f.Dimensions)
		Finish(dst, c.in, c.f)
		for i, want := range c.want {
			require.InDelta(t, want, float64(dst[i]), 1e-7, "%s [%d]", name, i)
		}
	}
}
