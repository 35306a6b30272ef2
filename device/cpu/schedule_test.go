package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/device"
)

func offsetsOf(lengths []int) []uint32 {
	offsets := []uint32{0}
	for _, n := range lengths {
		offsets = append(offsets, offsets[len(offsets)-1]+uint32(n))
	}
	return offsets
}

func TestSchedule(t *testing.T) {
	for name, c := range map[string]struct {
		lengths, groups []int
		threads         int
		together        bool
		used            int
	}{
		"one thread":                         {slices.Repeat([]int{16}, 64), []int{112, 96, 112, 96, 96, 112, 96, 112, 96, 96}, 1, false, 1},
		"one text goes to all":               {[]int{512}, []int{512}, 2, true, 2},
		"a short text to one":                {[]int{31}, []int{31}, 2, false, 1},
		"sixteen rows each":                  {[]int{64}, []int{64}, 16, true, 4},
		"as many groups as threads, even":    {slices.Repeat([]int{128}, 8), slices.Repeat([]int{128}, 8), 2, false, 2},
		"two texts of a size":                {[]int{300, 300}, []int{300, 300}, 2, false, 2},
		"three of a size: the third waits":   {[]int{300, 300, 300}, []int{300, 300, 300}, 2, true, 2},
		"a long one, short ones":             {append([]int{500}, slices.Repeat([]int{16}, 31)...), []int{500, 112, 96, 96, 96, 96}, 2, false, 2},
		"too few rows for a group a thread":  {slices.Repeat([]int{16}, 8), []int{128}, 2, true, 2},
		"more threads than groups can feed":  {slices.Repeat([]int{100}, 10), []int{1000}, 8, true, 8},
		"a batch that four threads can feed": {slices.Repeat([]int{100}, 8), []int{100, 100, 100, 100, 100, 100, 100, 100}, 4, false, 4},
	} {
		var s schedule
		offsets := offsetsOf(c.lengths)
		s.divide(offsets, c.threads)
		var sizes []int
		for g := range len(s.groups) - 1 {
			sizes = append(sizes, int(offsets[s.groups[g+1]]-offsets[s.groups[g]]))
		}
		require.Equal(t, c.groups, sizes, name)
		require.Equal(t, c.together, s.together, name)
		require.Equal(t, c.used, s.threads, name)
		require.Equal(t, slices.Max(c.lengths), s.longest, name)
		require.Equal(t, slices.Max(sizes), s.groupRows, name)
	}
}

// TestRandomBatchesGiveTheSameBits: texts drawn at random, in any order and company, with any number of threads,
// from every set, in both precisions, give the vector that each has alone.
func TestRandomBatchesGiveTheSameBits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, i := range []int{1, 3, 4} { // F16 with rotary and gate, Q8_0, Q4_0
		s := shapes[i]
		m := s.model(r)
		var texts [][]uint32
		for range 24 {
			texts = append(texts, m.texts(r, 1+r.IntN(1<<(1+r.IntN(8))))...)
		}
		for _, p := range []device.Precision{device.Exact, device.Fast} {
			alone := make([][]float32, len(texts))
			for _, info := range Sets() {
				if !info.Available() {
					continue
				}
				for threads := 1; threads <= 4; threads++ {
					e := m.load(t, newDevice(t, info.Name, threads), p)
					for round := range 4 {
						n := 1 + r.IntN(len(texts)>>round)
						order := r.Perm(len(texts))[:n]
						batch := make([][]uint32, n)
						for i, j := range order {
							batch[i] = texts[j]
						}
						got := run(t, e, s.hidden, batch, device.PoolMean)
						for i, j := range order {
							if alone[j] == nil {
								alone[j] = run(t, e, s.hidden, texts[j:j+1], device.PoolMean)
							}
							requireBits(t, alone[j], got[i*s.hidden:][:s.hidden], s.name+" "+info.Name)
						}
					}
				}
			}
		}
	}
}
