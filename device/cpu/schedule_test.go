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

// randomShapes are named: F16 has rotary and gate, Q4_K mins, Q6_K sub-blocks of 16.
var randomShapes = []string{"F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"}

// TestRandomBatchesGiveTheSameBits: texts drawn at random, in any order and company, with any number of threads,
// from every set, in both precisions, give the vector that each has alone.
func TestRandomBatchesGiveTheSameBits(t *testing.T) {
	count, rounds, longest := 24, 4, 8
	if testing.Short() {
		count, rounds, longest = 12, 1, 5
	}
	r := rand.New(rand.NewPCG(5, 6))
	type drawn struct {
		shape
		*model
		texts [][]uint32
		alone map[device.Precision][][]float32
	}
	var models []drawn
	for _, s := range shapes {
		if slices.Contains(randomShapes, s.name) {
			d := drawn{s, s.model(r), nil, map[device.Precision][][]float32{}}
			for range count {
				d.texts = append(d.texts, d.model.texts(r, 1+r.IntN(1<<(1+r.IntN(longest))))...)
			}
			models = append(models, d)
		}
	}
	require.Len(t, models, len(randomShapes))
	for _, info := range Sets() {
		t.Run(info.Name, func(t *testing.T) {
			needSet(t, info)
			for _, d := range models {
				for _, p := range []device.Precision{device.Exact, device.Fast} {
					if d.alone[p] == nil {
						d.alone[p] = make([][]float32, len(d.texts))
					}
					alone := d.alone[p]
					for threads := 1; threads <= 4; threads++ {
						e := d.load(t, newDevice(t, info.Name, threads), p)
						for round := range rounds {
							n := 1 + r.IntN(len(d.texts)>>round)
							order := r.Perm(len(d.texts))[:n]
							batch := make([][]uint32, n)
							for i, j := range order {
								batch[i] = d.texts[j]
							}
							got := run(t, e, d.hidden, batch, device.PoolMean)
							for i, j := range order {
								if alone[j] == nil {
									alone[j] = run(t, e, d.hidden, d.texts[j:j+1], device.PoolMean)
								}
								requireBits(t, alone[j], got[i*d.hidden:][:d.hidden], d.name)
							}
						}
					}
				}
			}
		})
	}
}
