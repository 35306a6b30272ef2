package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/tensor"
	"gguf-stream/test/source"
)

// openBytes opens data and wants the ledger back at zero when the test ends.
func openBytes(t testing.TB, src Source) (*File, error) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := OpenSource(src, ledger)
	if err != nil {
		require.Zero(t, ledger.Total(), "a failed open leaves nothing")
		return nil, err
	}
	t.Cleanup(func() { f.Close(); f.Close(); require.Zero(t, ledger.Total()) })
	return f, nil
}

func good(version uint32, order binary.ByteOrder) *Writer {
	w := NewWriter()
	w.Version, w.Order = version, order
	w.Add("general.architecture", "bert")
	w.Add("a.u8", uint8(200))
	w.Add("a.i8", int8(-3))
	w.Add("a.u16", uint16(60000))
	w.Add("a.i16", int16(-300))
	w.Add("a.u32", uint32(4000000000))
	w.Add("a.i32", int32(-70000))
	w.Add("a.f32", float32(1.5))
	w.Add("a.bool", true)
	w.Add("a.u64", uint64(math.MaxUint64))
	w.Add("a.i64", int64(math.MinInt64))
	w.Add("a.f64", 2.25)
	w.Add("a.empty", "")
	w.Add("a.strings", []string{"x", "", "héllo"})
	w.Add("a.numbers", []int32{1, -2, 3})
	w.Add("a.nested", []any{[]int32{1}, []int32{2, 3}})
	w.AddTensor("t.q", tensor.Shape{2, 32}, 8, 68)
	w.AddTensor("t.f", tensor.Shape{3}, 0, 12)
	return w
}

func goodFile(version uint32, order binary.ByteOrder) []byte {
	w := good(version, order)
	data := make([]byte, w.DataBytes())
	for i := range data {
		data[i] = byte(i)
	}
	return append(w.Header(), data...)
}

var layouts = []struct {
	version uint32
	order   binary.ByteOrder
}{{1, binary.LittleEndian}, {2, binary.LittleEndian}, {3, binary.LittleEndian}, {1, binary.BigEndian}, {2, binary.BigEndian}, {3, binary.BigEndian}}

func TestAllVersionsAndByteOrders(t *testing.T) {
	for _, l := range layouts {
		for _, limit := range []int{0, 1, 7} {
			f, err := openBytes(t, &source.Memory{Data: goodFile(l.version, l.order), Limit: limit})
			require.NoError(t, err, "v%d %v", l.version, l.order)
			require.EqualValues(t, l.version, f.Version())
			require.Equal(t, l.order == binary.BigEndian, f.BigEndian())
			require.Equal(t, 16, f.Pairs())
			checkValues(t, f)
			checkTensors(t, f)
		}
	}
}

func checkValues(t *testing.T, f *File) {
	for key, want := range map[string]int64{"a.u8": 200, "a.u16": 60000, "a.u32": 4000000000} {
		n, err := f.Uint(key, 0)
		require.NoError(t, err)
		require.EqualValues(t, want, n, key)
	}
	for key, want := range map[string]int64{"a.i8": -3, "a.i16": -300, "a.i32": -70000, "a.i64": math.MinInt64} {
		v, found, err := f.Find(key)
		require.NoError(t, err)
		require.True(t, found)
		bits, err := v.Bits()
		require.NoError(t, err)
		require.Equal(t, want, int64(bits), key)
		_, err = v.Uint()
		require.Equal(t, errs.GGUFMetadata, errs.From(err).Code, key)
	}
	x, err := f.Float("a.f32", 0)
	require.NoError(t, err)
	require.Equal(t, 1.5, x)
	x, err = f.Float("a.f64", 0)
	require.NoError(t, err)
	require.Equal(t, 2.25, x)
	s, err := f.Text("general.architecture", "")
	require.NoError(t, err)
	require.Equal(t, "bert", s)
	b, err := f.Flag("a.bool")
	require.NoError(t, err)
	require.True(t, *b)
	_, err = f.Text("a.u8", "")
	require.Equal(t, errs.GGUFMetadata, errs.From(err).Code)
	require.Equal(t, "a.u8", errs.From(err).Field)
	require.Positive(t, errs.From(err).Offset)
	v, _, _ := f.Find("a.strings")
	a, err := v.Array()
	require.NoError(t, err)
	var got []string
	require.NoError(t, a.Strings(1, func(_ int64, s []byte) error { got = append(got, string(s)); return nil }))
	require.Equal(t, []string{"", "héllo"}, got)
	v, _, _ = f.Find("a.numbers")
	a, _ = v.Array()
	var numbers []int64
	require.NoError(t, a.Numbers(1, func(_ int64, bits uint64) error { numbers = append(numbers, int64(bits)); return nil }))
	require.Equal(t, []int64{-2, 3}, numbers)
}

func checkTensors(t *testing.T, f *File) {
	require.Equal(t, 2, f.Tensors())
	q, found := f.FindTensor("t.q")
	require.True(t, found)
	require.True(t, q.Shape.Equal(tensor.Shape{2, 32}))
	require.Equal(t, "Q8_0", q.Type.Name)
	require.EqualValues(t, 68, q.Bytes)
	require.Zero(t, q.Offset%32)
	p := make([]byte, 4)
	require.NoError(t, f.ReadTensor(&q, 64, p))
	require.Equal(t, []byte{64, 65, 66, 67}, p)
	require.Error(t, f.ReadTensor(&q, 65, p))
	_, found = f.FindTensor("t.x")
	require.False(t, found)
}

// openCounting is openBytes, and adds up what is allocated off the heap.
func openCounting(t testing.TB, src Source, asked *int64) (*File, error) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	ledger.FailAllocations(func(bytes int64) ([]byte, error) { *asked += bytes; return memory.Map(bytes) })
	f, err := OpenSource(src, ledger)
	if err == nil {
		t.Cleanup(f.Close)
	}
	return f, err
}

// TestEveryPrefixIsATypedError: no prefix shorter than the last tensor's last byte opens.
func TestEveryPrefixIsATypedError(t *testing.T) {
	for _, l := range layouts {
		whole := goodFile(l.version, l.order)
		end := len(whole) - 32 + 12 // the padding behind the last tensor may be missing
		for n := range end {
			asked := int64(0)
			_, err := openCounting(t, &source.Memory{Data: whole[:n]}, &asked)
			require.LessOrEqual(t, asked, int64(1<<17), "a prefix of %d costs no more than the window and one index", n)
			var e *errs.Error
			require.ErrorAs(t, err, &e, "prefix of %d", n)
			require.Contains(t, []errs.Code{errs.GGUFTruncated, errs.GGUFMagic}, e.Code, "prefix of %d: %v", n, err)
			require.LessOrEqual(t, e.Offset, int64(n))
		}
		_, err := openBytes(t, &source.Memory{Data: whole[:end]})
		require.NoError(t, err)
	}
}

// tweak makes a file out of a writer that does something odd.
func tweak(f func(w *Writer)) func() []byte {
	return func() []byte {
		w := NewWriter()
		w.Add("general.architecture", "bert")
		f(w)
		return append(w.Header(), make([]byte, 4096)...)
	}
}

func u64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func TestLegalOddities(t *testing.T) {
	for name, f := range map[string]func(w *Writer){
		"alignment 64": func(w *Writer) {
			w.Alignment = 64
			w.Add(alignmentKey, uint32(64))
			w.AddTensor("a", tensor.Shape{3}, 0, 12)
			w.AddTensor("b", tensor.Shape{3}, 0, 12)
		},
		"shuffled with gap": func(w *Writer) {
			w.AddTensorAt("a", tensor.Shape{1}, 0, 1024)
			w.AddTensorAt("b", tensor.Shape{1}, 0, 0)
		},
		"scalar":           func(w *Writer) { w.AddTensor("a", tensor.Shape{}, 0, 4) },
		"no elements":      func(w *Writer) { w.AddTensor("a", tensor.Shape{0}, 0, 0) },
		"NUL in a string":  func(w *Writer) { w.Add("k", "a\x00b") },
		"nested four deep": func(w *Writer) { w.Add("k", []any{[]any{[]any{[]int32{1}}}}) },
		"empty arrays":     func(w *Writer) { w.Add("k", []string{}); w.Add("l", []any{}) },
	} {
		_, err := openBytes(t, &source.Memory{Data: tweak(f)()})
		require.NoError(t, err, name)
	}
}

func TestManyPairsCostNoHeap(t *testing.T) {
	const n = 200000
	w := NewWriter()
	for i := range n {
		w.Add(fmt.Sprintf("k%d", i), uint32(i))
	}
	src := &source.Memory{Data: w.Header()}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f, err := openBytes(t, src)
	require.NoError(t, err)
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
	got, err := f.Uint("k123456", 0)
	require.NoError(t, err)
	require.EqualValues(t, 123456, got)
	v, err := f.Pair(n - 1)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("k%d", n-1), v.Key())
}

// TestPagesOfStringsAreReadOnce: who reads an array in pages passes over nothing twice; jumps back and forth, and to
// another array in between, give the same strings.
func TestPagesOfStringsAreReadOnce(t *testing.T) {
	const n, page = 100_000, 1000
	w := NewWriter()
	texts, others := make([]string, n), []string{"a", "b", "c"}
	for i := range texts {
		texts[i] = fmt.Sprint("string ", i)
	}
	w.Add("texts", texts)
	w.Add("others", others)
	src := &source.Memory{Data: w.Header()}
	reads := 0
	src.Fault = func(int64) error { reads++; return nil }
	f, err := openBytes(t, src)
	require.NoError(t, err)
	stop := errors.New("stop")
	read := func(key string, from, count int64) (out []string) {
		v, found, err := f.Find(key)
		require.NoError(t, err)
		require.True(t, found)
		a, err := v.Array()
		require.NoError(t, err)
		err = a.Strings(from, func(i int64, s []byte) error {
			require.EqualValues(t, from+int64(len(out)), i)
			if out = append(out, string(s)); int64(len(out)) == count {
				return stop
			}
			return nil
		})
		require.True(t, err == nil || err == stop, "%v", err)
		return out
	}
	reads = 0
	for from := int64(0); from < n; from += page {
		require.Equal(t, texts[from:from+page], read("texts", from, page))
	}
	require.Less(t, reads, 6*n/page, "reads of 64 KiB")
	for _, from := range []int64{5000, 4999, 0, 70_000, 69_000, n - 1} {
		require.Equal(t, texts[from:min(from+3, n)], read("texts", from, 3))
		require.Equal(t, others[1:2], read("others", 1, 1))
	}
}

func TestFaultyReads(t *testing.T) {
	data := goodFile(3, binary.LittleEndian)
	interrupted := 0
	_, err := openBytes(t, &source.Memory{Data: data, Limit: 100, Fault: func(int64) error {
		if interrupted++; interrupted%2 == 1 {
			return syscall.EINTR
		}
		return nil
	}})
	require.NoError(t, err)
	cause := errors.New("bad sector")
	_, err = openBytes(t, &source.Memory{Data: data, Fault: func(int64) error { return cause }})
	require.Equal(t, errs.FileRead, errs.From(err).Code)
	require.ErrorIs(t, err, cause)
	src := &source.Memory{Data: data}
	f, err := openBytes(t, src)
	require.NoError(t, err)
	q, _ := f.FindTensor("t.q")
	src.Data = data[:q.Offset+10] // cut behind our back
	err = f.ReadTensor(&q, 0, make([]byte, 68))
	require.Equal(t, errs.GGUFTruncated, errs.From(err).Code)
	require.Equal(t, q.Offset+10, errs.From(err).Offset)
}

func TestWhatIsNoFile(t *testing.T) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	dir := t.TempDir()
	for _, path := range append(specialFiles(t, dir), dir, filepath.Join(dir, "missing")) {
		_, err := Open(path, ledger)
		require.Equal(t, errs.FileOpen, errs.From(err).Code, path)
	}
	_, err = Open(filepath.Join(dir, strings.Repeat("x/", 1000)), ledger)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Contains(t, err.Error()[:0x100], errs.From(err).Err.Error(), "the cause stands before the path")
	require.Zero(t, ledger.Total())
	folder, err := os.Open(dir)
	require.NoError(t, err)
	_, _, err = opened(folder, dir)
	require.Equal(t, errs.FileOpen, errs.From(err).Code, "what has become a folder since it was looked at")
	require.ErrorIs(t, folder.Close(), fs.ErrClosed)
}

// TestCountsAreRefusedAtTheirPlace, those of the tensors less what earlier parts have.
func TestCountsAreRefusedAtTheirPlace(t *testing.T) {
	for _, c := range []struct {
		field          string
		tensors, pairs uint64
		at             int64
	}{{"tensor_count", limits.Tensors + 1, 0, 8}, {"metadata_kv_count", 0, limits.MetadataPairs + 1, 16}} {
		_, err := openBytes(t, &source.Memory{Data: NewWriter().HeaderWithCounts(c.tensors, c.pairs)})
		e := errs.From(err)
		require.Equal(t, []any{errs.GGUFLimit, c.field, c.at}, []any{e.Code, e.Field, e.Offset})
	}
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	first := splitParts(t, t.TempDir(), func(*Writer) {})
	second := append(NewWriter().HeaderWithCounts(limits.Tensors, 0), make([]byte, limits.Tensors*20)...)
	require.NoError(t, os.WriteFile(partPaths(first)[1], second, 0o600))
	_, err = Open(first, ledger)
	require.Equal(t, errs.GGUFLimit, errs.From(err).Code, "%v", err)
}

// TestPartsAreCounted: one too many is refused by its number, not by the name that is missing.
func TestPartsAreCounted(t *testing.T) {
	w := NewWriter()
	w.Add(splitCount, uint16(limits.SplitParts+1))
	path := filepath.Join(t.TempDir(), fmt.Sprintf("m-00001-of-%05d.gguf", limits.SplitParts+1))
	require.NoError(t, os.WriteFile(path, w.Header(), 0o600))
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	_, err = Open(path, ledger)
	require.Contains(t, errs.From(err).Message, "1025 parts; at most 1024")
}

func TestTensorsThatShareAByteAreRefused(t *testing.T) {
	for at, want := range map[int64]errs.Code{3: errs.GGUFTensor, 4: ""} {
		_, err := openBytes(t, &source.Memory{Data: tweak(func(w *Writer) {
			w.Add(alignmentKey, uint32(1))
			w.AddTensorAt("a", tensor.Shape{1}, 0, 0)
			w.AddTensorAt("b", tensor.Shape{1}, 0, at)
		})()})
		if want == "" {
			require.NoError(t, err)
		} else {
			require.Equal(t, want, errs.From(err).Code)
		}
	}
}

// splitParts writes a model in two parts.
func splitParts(t *testing.T, dir string, second func(w *Writer)) string {
	w := NewWriter()
	w.Add("general.architecture", "bert")
	w.Add(splitNo, uint16(0))
	w.Add(splitCount, uint16(2))
	w.Add(splitTensors, int32(2))
	w.AddTensor("a", tensor.Shape{4}, 0, 16)
	first := filepath.Join(dir, "m-00001-of-00002.gguf")
	require.NoError(t, os.WriteFile(first, append(w.Header(), make([]byte, 32)...), 0o644))
	v := NewWriter()
	second(v)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m-00002-of-00002.gguf"), append(v.Header(), make([]byte, 32)...), 0o644))
	return first
}

func TestSplitFiles(t *testing.T) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	part := func(no uint16, name string) func(w *Writer) {
		return func(w *Writer) {
			w.Add(splitNo, no)
			w.Add(splitCount, uint16(2))
			w.AddTensor(name, tensor.Shape{4}, 0, 16)
		}
	}
	f, err := Open(splitParts(t, t.TempDir(), part(1, "b")), ledger)
	require.NoError(t, err)
	b, found := f.FindTensor("b")
	require.True(t, found)
	require.Equal(t, 1, b.Part)
	require.NoError(t, f.ReadTensor(&b, 0, make([]byte, 16)))
	require.NoError(t, f.Changed())
	require.NoError(t, os.Truncate(f.parts[1].path, f.parts[1].src.Size()-1))
	err = f.Changed()
	require.Equal(t, errs.FileChanged, errs.From(err).Code)
	require.Contains(t, err.Error(), "m-00002-of-00002.gguf")
	f.Close()
	for name, second := range map[string]func(w *Writer){"wrong number": part(7, "b"), "no number": func(w *Writer) { w.AddTensor("b", tensor.Shape{4}, 0, 16) },
		"tensor missing": func(w *Writer) { w.Add(splitNo, uint16(1)) }, "another count": func(w *Writer) { w.Add(splitNo, uint16(1)); w.Add(splitCount, uint16(3)) },
		"another version":    func(w *Writer) { w.Version = 2; part(1, "b")(w) },
		"another byte order": func(w *Writer) { w.Order = binary.BigEndian; part(1, "b")(w) },
	} {
		_, err := Open(splitParts(t, t.TempDir(), second), ledger)
		require.Equal(t, errs.GGUFSplit, errs.From(err).Code, name)
		require.Equal(t, name != "tensor missing", strings.HasPrefix(errs.From(err).Message, "part 2 of 2: "), err)
	}
	_, err = Open(splitParts(t, t.TempDir(), part(1, "a")), ledger)
	require.Equal(t, errs.GGUFDuplicate, errs.From(err).Code)
	dir := t.TempDir()
	splitParts(t, dir, func(w *Writer) { w.Add(splitNo, uint16(1)); w.Add(splitCount, uint16(2)) })
	_, err = Open(filepath.Join(dir, "m-00002-of-00002.gguf"), ledger)
	require.Equal(t, errs.GGUFSplit, errs.From(err).Code)
	require.Zero(t, ledger.Total())
}

// TestPartsHaveTheirOwnAlignment: llama.cpp reads each part as a file of its own.
func TestPartsHaveTheirOwnAlignment(t *testing.T) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	dir := t.TempDir()
	first := splitParts(t, dir, func(w *Writer) {
		w.Alignment = 256
		w.Add(splitNo, uint16(1))
		w.Add(alignmentKey, uint32(256))
		w.AddTensor("b", tensor.Shape{4}, 0, 16)
	})
	f, err := Open(first, ledger)
	require.NoError(t, err)
	defer f.Close()
	b, found := f.FindTensor("b")
	require.True(t, found)
	require.EqualValues(t, 256, b.Offset)
	a, _ := f.FindTensor("a")
	require.NotZero(t, a.Offset%256)
	require.EqualValues(t, 32, f.Alignment())
}

// TestHeadersAreBounded: holes of a sparse file must not make a header of terabytes.
func TestHeadersAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse.gguf")
	const hole = 1 << 40
	w := NewWriter()
	w.AddRaw("k", uint32(String), u64(hole))
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	_, err = file.Write(w.HeaderWithCounts(1, 1))
	require.NoError(t, err)
	require.NoError(t, file.Truncate(hole+4096))
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	_, err = Open(path, ledger)
	e := errs.From(err)
	require.Equal(t, errs.GGUFLimit, e.Code)
	require.Greater(t, e.Offset, int64(hole))
	require.Zero(t, ledger.Total())
}

// TestHeadersOfAllPartsAreBoundedTogether: none alone is too long.
func TestHeadersOfAllPartsAreBoundedTogether(t *testing.T) {
	const hole = limits.HeaderBytes * 2 / 3
	dir := t.TempDir()
	for i, pairs := range []uint64{3, 3 + 1} { // behind the second's hole another pair, for which it is read on
		w := NewWriter()
		w.Add(splitNo, uint16(i))
		w.Add(splitCount, uint16(2))
		w.AddRaw("k", uint32(String), u64(hole))
		path := filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", i+1))
		require.NoError(t, os.WriteFile(path, w.HeaderWithCounts(0, pairs), 0o600))
		require.NoError(t, os.Truncate(path, hole+4096))
	}
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	_, err = Open(filepath.Join(dir, "m-00001-of-00002.gguf"), ledger)
	require.Equal(t, errs.GGUFLimit, errs.From(err).Code, "%v", err)
	require.Zero(t, ledger.Total())
}

func TestViewsStayInside(t *testing.T) {
	f, err := openBytes(t, &source.Memory{Data: goodFile(3, binary.LittleEndian)})
	require.NoError(t, err)
	v, _, _ := f.Find("a.numbers")
	a, err := v.Array()
	require.NoError(t, err)
	for from, want := range map[int64]int{-1: 3, 0: 3, 2: 1, 3: 0, math.MaxInt64: 0, math.MinInt64: 3} {
		n := 0
		require.NoError(t, a.Numbers(from, func(int64, uint64) error { n++; return nil }))
		require.Equal(t, want, n, "from %d", from)
	}
	v, _, _ = f.Find("general.architecture")
	b, err := v.TextBytes()
	require.NoError(t, err)
	var text []byte
	require.NoError(t, b.Numbers(1, func(_ int64, bits uint64) error { text = append(text, byte(bits)); return nil }))
	require.Equal(t, "ert", string(text))
}

func TestTheBundledModel(t *testing.T) {
	ledger, err := memory.NewLedger()
	require.NoError(t, err)
	f, err := Open("../../models/all-MiniLM-L6-v2.Q8_0.gguf", ledger)
	require.NoError(t, err)
	require.Equal(t, []int{73, 101, 1}, []int{f.Pairs(), f.Tensors(), f.Parts()})
	f.Close()
	require.Zero(t, ledger.Total())
}

func BenchmarkOpen(b *testing.B) {
	ledger, _ := memory.NewLedger()
	for b.Loop() {
		f, err := Open("../../models/all-MiniLM-L6-v2.Q8_0.gguf", ledger)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
