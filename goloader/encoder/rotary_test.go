package encoder

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOwnFunctionsAgreeWithMath(t *testing.T) {
	for _, x := range []float64{1000, 10000, 160000, 1e6, 2, 0.5, 1.4142} {
		require.InEpsilon(t, math.Log(x), logarithm(x), 1e-15, "ln %g", x)
	}
	for x := -30.0; x < 10; x += 0.37 {
		require.InEpsilon(t, math.Exp(x), exponential(x), 1e-15, "exp %g", x)
	}
	for x := 0.0; x < 40000; x += 7.31 {
		sin, cos := sineCosine(x)
		require.InDelta(t, math.Sin(x), sin, 3e-16, "sin %g", x)
		require.InDelta(t, math.Cos(x), cos, 3e-16, "cos %g", x)
	}
}

func TestRotaryTable(t *testing.T) {
	const positions, headSize = 9, 6
	table := make([]float32, positions*headSize)
	fillRotary(table, positions, headSize, 1000)
	for p := range positions {
		for j := range headSize / 2 {
			angle := float64(p) * math.Pow(1000, -2*float64(j)/headSize)
			require.Equal(t, float32(math.Cos(angle)), table[(p*headSize/2+j)*2])
			require.Equal(t, float32(math.Sin(angle)), table[(p*headSize/2+j)*2+1])
		}
	}
}
