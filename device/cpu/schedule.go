package cpu

// #include <kernels.h>
import "C"

import "slices"

const (
	slabRows  = C.GSK_SLAB
	leastRows = 16 // of a thread: for fewer a second one brings little, and costs much where others hold its core
)

// schedule is how the threads share a batch. Its slices are reused.
type schedule struct {
	groups    []uint32 // first text of each group, and the number of texts
	together  bool     // all threads go through one group after another; else each takes its own
	threads   int
	groupRows int   // most rows of a group
	longest   int   // most rows of a text
	loads     []int // of slowest
}

// divide chooses groups for at most `threads` threads; the texts have rows [offsets[t], offsets[t+1]). Groups of
// whole texts, a thread each, need no waiting for one another and keep a group's activations in its core's
// cache; where they would leave threads without work for more than a tenth of the time, all threads take
// larger groups together.
func (s *schedule) divide(offsets []uint32, threads int) {
	texts, rows := len(offsets)-1, int(offsets[len(offsets)-1])
	s.threads = min(threads, max(1, rows/leastRows))
	s.group(offsets, max(1, rows/slabRows/s.threads*s.threads))
	s.together = s.threads > 1 && s.slowest(offsets)*s.threads*10 > rows*11
	if s.together {
		s.group(offsets, max(1, rows/(slabRows*s.threads)))
	} else {
		s.threads = min(s.threads, len(s.groups)-1)
	}
	s.groupRows, s.longest = 0, 0
	for g := range len(s.groups) - 1 {
		s.groupRows = max(s.groupRows, int(offsets[s.groups[g+1]]-offsets[s.groups[g]]))
	}
	for t := range texts {
		s.longest = max(s.longest, int(offsets[t+1]-offsets[t]))
	}
}

// group cuts the batch into about n groups of whole texts, at the multiples of rows/n but for those that the
// last cut has passed or come near to: no group is small because the text before it was long.
func (s *schedule) group(offsets []uint32, n int) {
	s.groups = append(s.groups[:0], 0)
	texts, rows := len(offsets)-1, int(offsets[len(offsets)-1])
	next := 1
	for t := 1; t < texts; t++ {
		if at := int(offsets[t]) * n; at >= next*rows {
			s.groups = append(s.groups, uint32(t))
			next = (2*at + 3*rows - 1) / (2 * rows) // half a group or more from here
		}
	}
	s.groups = append(s.groups, uint32(texts))
}

// slowest is the rows of the thread with the most, when each takes the next group as soon as it is free.
func (s *schedule) slowest(offsets []uint32) int {
	s.loads = slices.Grow(s.loads[:0], s.threads)[:s.threads]
	clear(s.loads)
	for g := range len(s.groups) - 1 {
		least := 0
		for i, l := range s.loads {
			if l < s.loads[least] {
				least = i
			}
		}
		s.loads[least] += int(offsets[s.groups[g+1]] - offsets[s.groups[g]])
	}
	return slices.Max(s.loads)
}
