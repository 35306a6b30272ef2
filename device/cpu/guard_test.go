package cpu

import (
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// fence places buffers against inaccessible pages: at one run they end at such a page, at the other they
// begin after one, so that a kernel that reads or writes one element too far dies at once. The trace then
// shows the wrapper of kernelcall.go with its arguments.
type fence struct {
	t     testing.TB
	atEnd bool
	maps  [][]byte
}

// place copies values to a buffer at the fence.
func place[T any](f *fence, values []T) []T {
	if len(values) == 0 {
		return nil
	}
	page := os.Getpagesize()
	size := len(values) * int(unsafe.Sizeof(values[0]))
	room := (size + page - 1) / page * page
	m, err := mapPages(room + 2*page)
	require.NoError(f.t, err)
	f.maps = append(f.maps, m)
	require.NoError(f.t, forbidPages(m[:page]))
	require.NoError(f.t, forbidPages(m[page+room:]))
	at := page
	if f.atEnd {
		at += room - size
	}
	out := unsafe.Slice((*T)(unsafe.Pointer(&m[at])), len(values))
	copy(out, values)
	return out
}

func (f *fence) release() {
	for _, m := range f.maps {
		unmapPages(m)
	}
	f.maps = nil
}

// untouched fills outputs: what lies between rows must still be this NaN after a call.
var untouched = math.Float32frombits(0x7fc0dead)

// unwritten is a matrix of rows that are stride apart, the last one without a gap behind it.
func unwritten(rows, columns, stride int) []float32 {
	out := make([]float32, (rows-1)*stride+columns)
	for i := range out {
		out[i] = untouched
	}
	return out
}

// requireGaps wants the numbers outside [from, to) of every row untouched.
func requireGaps(t testing.TB, out []float32, stride, from, to int) {
	for i, v := range out {
		if column := i % stride; (column < from || column >= to) && math.Float32bits(v) != math.Float32bits(untouched) {
			t.Fatalf("value %d of row %d was written", column, i/stride)
		}
	}
}

// everySet runs a kernel with every set that can run here, its buffers before and behind a fence; all must
// give the bits of the portable set, which are returned. Those that cannot are listed once a test.
func everySet(t testing.TB, run func(s *kernelSet, f *fence) []float32) []float32 {
	listMissingSets(t)
	var want []float32
	sets := availableSets()
	for i := len(sets) - 1; i >= 0; i-- { // portable is the last
		for _, atEnd := range []bool{true, false} {
			f := &fence{t: t, atEnd: atEnd}
			got := append([]float32(nil), run(sets[i], f)...)
			f.release()
			if want == nil {
				require.Equal(t, "portable", sets[i].name)
				want = got
			}
			requireSame(t, want, got, sets[i].name)
		}
	}
	return want
}

func availableSets() (sets []*kernelSet) {
	for i, info := range Sets() {
		if info.Available() {
			sets = append(sets, &kernelSets[i])
		}
	}
	return sets
}

// needSet skips what is a set's where it cannot run.
func needSet(t testing.TB, info SetInfo) {
	if !info.Available() { // its instructions would end the process; skipped, it is listed as not run. TestRequiredSetsRun says which must run
		t.Skipf("not run: %s lacks %s", info.Name, strings.Join(info.Missing, ", "))
	}
}

// listed are the tests that have a skipped subtest for each set that cannot run here. A fuzz target can have none.
var listed sync.Map

func listMissingSets(t testing.TB) {
	test, _, _ := strings.Cut(t.Name(), "/")
	parent, ok := t.(*testing.T)
	if !ok || strings.HasPrefix(test, "Fuzz") {
		return
	}
	if _, done := listed.LoadOrStore(test, true); done {
		return
	}
	for _, info := range Sets() {
		if !info.Available() {
			parent.Run(info.Name, func(t *testing.T) { needSet(t, info) })
		}
	}
}

// processorSets are this architecture's sets that Linux's own list of the processor's features promises, portable where it has
// none. In qemu-user the list is the machine's outside.
func processorSets() (names []string) {
	text, _ := os.ReadFile("/proc/cpuinfo")
	var flags []string
	for line := range strings.Lines(string(text)) {
		if name, list, _ := strings.Cut(line, ":"); slices.Contains([]string{"flags", "Features"}, strings.TrimSpace(name)) {
			flags = strings.Fields(list)
			break
		}
	}
	for name, needs := range map[string]string{
		"avx2": "avx2 fma f16c", "avxvnni": "avx2 fma f16c avx_vnni", "avx512": "avx2 fma f16c avx512f avx512bw avx512vl avx512dq",
		"avx512vnni": "avx2 fma f16c avx512f avx512bw avx512vl avx512dq avx512_vnni",
		"amx":        "avx2 fma f16c avx512f avx512bw avx512vl avx512dq avx512_vnni amx_tile amx_int8",
		"neon":       "asimd", "neondot": "asimd asimddp", "neoni8mm": "asimd asimddp i8mm",
	} {
		ours := slices.ContainsFunc(kernelSets, func(s kernelSet) bool { return s.name == name })
		if ours && !slices.ContainsFunc(strings.Fields(needs), func(f string) bool { return !slices.Contains(flags, f) }) {
			names = append(names, name)
		}
	}
	return append(names, "portable")
}

// TestRequiredSetsRun: a set that is missing is not taken for one that passed. GGUF_STREAM_TEST_SETS names those that must
// run on this machine; without it they are what Linux says of its processor.
func TestRequiredSetsRun(t *testing.T) {
	var names []string
	for _, s := range availableSets() {
		names = append(names, s.name)
	}
	required := processorSets()
	if named := os.Getenv("GGUF_STREAM_TEST_SETS"); named != "" {
		required = strings.Split(named, ",")
	}
	t.Log("sets that run here:", names, "those that must:", required)
	require.Subset(t, names, required)
}

// TestBestSetIsChosen, and on a processor that is known, GGUF_STREAM_TEST_BEST, it is that one.
func TestBestSetIsChosen(t *testing.T) {
	chosen := newDevice(t, "", 1).KernelSet()
	require.Equal(t, availableSets()[0].name, chosen)
	if best := os.Getenv("GGUF_STREAM_TEST_BEST"); best != "" {
		require.Equal(t, best, chosen)
	}
}

// requireSame compares bits; which NaN a NaN is is left to the processor.
func requireSame(t testing.TB, want, got []float32, set string) {
	require.Equal(t, len(want), len(got))
	for i, w := range want {
		g := got[i]
		if math.Float32bits(w) != math.Float32bits(g) && (w == w || g == g) {
			t.Fatalf("%s: value %d is %g (%x), the portable set's %g (%x)", set, i, g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
}

// requireNear wants every number within its bound of the float64 computation.
func requireNear(t testing.TB, want, bound []float64, got []float32) {
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= bound[i]) {
			t.Fatalf("value %d is %g, want %g, %g apart, allowed %g", i, got[i], w, d, bound[i])
		}
	}
}
