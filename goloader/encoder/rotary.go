package encoder

import "math"

// The rotary tables are float steps outside the kernels, so every operation here is rounded explicitly
// (float64(…) forbids Go to fuse x·y+z) and no function of package math with a platform's own
// assembly is used: the same bits on every machine.

// fillRotary writes cos and sin of each position's angles: table[position][j] = (cos a, sin a) with
// a = position · base^(−2j/headSize), j < headSize/2 (RoFormer, equation 15; arXiv 2104.09864).
func fillRotary(table []float32, positions, headSize int, base float64) {
	half := headSize / 2
	logBase := logarithm(base)
	for j := range half {
		frequency := exponential(float64(float64(-2*j) * logBase / float64(headSize)))
		for p := range positions {
			sin, cos := sineCosine(float64(float64(p) * frequency))
			table[(p*half+j)*2] = float32(cos)
			table[(p*half+j)*2+1] = float32(sin)
		}
	}
}

const (
	ln2High = 6.93147180369123816490e-01 // its last 32 bits are zero: k·ln2High is exact for |k| < 2^20
	ln2Low  = 1.90821492927058770002e-10
	halfPi1 = 1.57079632673412561417e+00 // π/2 in three parts of 33 bits each
	halfPi2 = 6.07710050630396597660e-11
	halfPi3 = 2.02226624879595063154e-21
)

// logarithm is ln x for x > 0: x = m·2^e with m in [√½, √2), ln m = 2·atanh((m−1)/(m+1)).
func logarithm(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = m*2, e-1
	}
	t := (m - 1) / (m + 1)
	t2 := float64(t * t)
	sum := 0.0
	for k := 25; k >= 1; k -= 2 {
		sum = float64(sum*t2) + 1/float64(k)
	}
	return float64(float64(e)*ln2High) + (float64(2*float64(t*sum)) + float64(float64(e)*ln2Low))
}

// exponential is e^x for |x| < 700 by its series around the nearest multiple of ln 2.
func exponential(x float64) float64 {
	k := math.Round(float64(x / math.Ln2))
	r := (x - float64(k*ln2High)) - float64(k*ln2Low)
	sum := 1.0
	for n := 18; n >= 1; n-- {
		sum = float64(float64(sum*r)/float64(n)) + 1
	}
	return math.Ldexp(sum, int(k))
}

// sineCosine is sin x and cos x for 0 ≤ x < 2^20 by their series around the nearest multiple of π/2.
func sineCosine(x float64) (sin, cos float64) {
	q := math.Round(float64(x / (math.Pi / 2)))
	r := ((x - float64(q*halfPi1)) - float64(q*halfPi2)) - float64(q*halfPi3)
	r2 := float64(r * r)
	s, c := 1.0, 1.0
	for n := 20; n >= 2; n -= 2 {
		s = 1 - float64(float64(s*r2)/float64(n*(n+1)))
		c = 1 - float64(float64(c*r2)/float64(n*(n-1)))
	}
	s = float64(s * r)
	switch int64(q) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	}
	return -c, s
}
