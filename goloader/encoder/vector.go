package encoder

import "math"

// Finishing says what becomes of a pooled vector.
type Finishing struct {
	LayerNorm  bool // without weights, before cutting: Matryoshka models that ask for it (nomic v1.5)
	Dimensions int  // length of the result, at most the hidden size
	Normalize  bool // to L2 norm 1
}

// layerNormEpsilon is torch.nn.functional.layer_norm's default, which nomic v1.5's recipe uses.
const layerNormEpsilon = 1e-5

// clampNorm is the smallest norm that is divided by, as torch.nn.functional.normalize does.
const clampNorm = 1e-12

// Finish turns a pooled vector into the caller's: dst has f.Dimensions values and may be pooled itself.
// Sums are float64, one after another, so that the bits do not depend on the machine.
func Finish(dst, pooled []float32, f Finishing) {
	if f.LayerNorm {
		layerNorm(pooled)
	}
	dst = dst[:f.Dimensions]
	copy(dst, pooled)
	if f.Normalize {
		normalize(dst)
	}
}

func layerNorm(v []float32) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x)
	}
	mean := sum / float64(len(v))
	squares := 0.0
	for _, x := range v {
		d := float64(x) - mean
		squares += float64(d * d)
	}
	deviation := math.Sqrt(squares/float64(len(v)) + layerNormEpsilon)
	for i, x := range v {
		v[i] = float32((float64(x) - mean) / deviation)
	}
}

func normalize(v []float32) {
	squares := 0.0
	for _, x := range v {
		squares += float64(float64(x) * float64(x))
	}
	norm := max(math.Sqrt(squares), clampNorm)
	for i, x := range v {
		v[i] = float32(float64(x) / norm)
	}
}
