package embedder

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/stream"
)

// File is an open GGUF file for openGguf(): its metadata, its tensors, no model.
type File struct {
	runtime *Runtime
	mu      sync.Mutex // one call at a time; Close waits
	file    *gguf.File // nil when closed
	path    string
}

// OpenFile reads a file's header.
func (r *Runtime) OpenFile(path string) (*File, error) {
	defer turn(r.disk)()
	f, err := gguf.OpenThrough(path, r.ledger, r.wrap)
	if err != nil {
		return nil, err
	}
	return &File{runtime: r, file: f, path: path}, nil
}

// FileInfo is what the header says.
type FileInfo struct {
	Path      string `json:"path"`
	Version   int    `json:"version"`
	BigEndian bool   `json:"bigEndian"`
	Alignment int64  `json:"alignment"`
	FileBytes int64  `json:"fileBytes"`
	Pairs     int    `json:"pairs"`
	Tensors   int    `json:"tensors"`
	Parts     int    `json:"parts"`
}

// Info is the header's.
func (f *File) Info() FileInfo {
	g := f.file
	return FileInfo{f.path, g.Version(), g.BigEndian(), g.Alignment(), g.Size(), g.Pairs(), g.Tensors(), g.Parts()}
}

// Close frees the index and closes the descriptors.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// open locks the file for a call, which ends by done: its error is then the file's if that has changed.
func (f *File) open() (g *gguf.File, done func(*error), err error) {
	f.mu.Lock()
	if f.file == nil {
		f.mu.Unlock()
		return nil, nil, errs.New(errs.Closed, "", "the file is closed")
	}
	leave := turn(f.runtime.disk)
	return f.file, func(err *error) {
		*err = f.file.Conclude(*err)
		leave()
		f.mu.Unlock()
	}, nil
}

// Value is a metadata value as JSON has room for it: 64-bit integers as decimal strings, floats that are
// no JSON numbers by name, arrays by type and length.
type Value struct {
	Type        string `json:"type"`
	Value       any    `json:"value,omitempty"`
	ElementType string `json:"elementType,omitempty"`
	Length      int64  `json:"length,omitempty"`
}

// Pair is a key and its value.
type Pair struct {
	Key   string `json:"key"`
	Value Value  `json:"value"`
}

// MetadataReply answers one of the three questions of Metadata.
type MetadataReply struct {
	Found  bool   `json:"found"`
	Value  *Value `json:"value,omitempty"`
	Pairs  []Pair `json:"pairs,omitempty"`
	Values []any  `json:"values,omitempty"`
}

// Metadata looks one key up (count 0), lists pairs (no key), or lists an array's elements.
func (f *File) Metadata(key string, from, count int64) (reply *MetadataReply, err error) {
	g, done, err := f.open()
	if err != nil {
		return nil, err
	}
	defer done(&err)
	count = min(count, limits.PageEntries)
	if key == "" {
		return pairs(g, from, count)
	}
	v, found, err := g.Find(key)
	if err != nil || !found {
		return &MetadataReply{}, err
	}
	if count > 0 {
		values, err := elements(v, from, count)
		return &MetadataReply{Found: true, Values: values}, err
	}
	value, err := valueOf(v)
	return &MetadataReply{Found: true, Value: &value}, err
}

func pairs(g *gguf.File, from, count int64) (*MetadataReply, error) {
	r := &MetadataReply{Pairs: []Pair{}}
	bytes := 0
	for i := max(from, 0); i < int64(g.Pairs()) && int64(len(r.Pairs)) < count && bytes < limits.PageBytes; i++ {
		v, err := g.Pair(int(i))
		if err != nil {
			return nil, err
		}
		value, err := valueOf(v)
		if err != nil {
			return nil, err
		}
		r.Pairs = append(r.Pairs, Pair{v.Key(), value})
		text, _ := value.Value.(string)
		bytes += len(v.Key()) + len(text)
	}
	return r, nil
}

func valueOf(v gguf.Value) (Value, error) {
	out := Value{Type: v.Type().String()}
	switch v.Type() {
	case gguf.Array:
		return arrayValue(v.Array())
	case gguf.String:
		s, err := v.Text()
		if isCode(err, errs.GGUFLimit) || isCode(err, errs.GGUFMetadata) { // too long for a reply, or no UTF-8
			return arrayValue(v.TextBytes())
		}
		out.Value = s
		return out, err
	}
	bits, err := v.Bits()
	out.Value = number(v.Type(), bits)
	return out, err
}

func arrayValue(a gguf.ArrayView, err error) (Value, error) {
	return Value{Type: gguf.Array.String(), ElementType: a.ElementType.String(), Length: a.Len}, err
}

func number(t gguf.ValueType, bits uint64) any {
	switch t {
	case gguf.Bool:
		return bits != 0
	case gguf.U64:
		return strconv.FormatUint(bits, 10)
	case gguf.I64:
		return strconv.FormatInt(int64(bits), 10)
	case gguf.F32:
		return float(float64(math.Float32frombits(uint32(bits))))
	case gguf.F64:
		return float(math.Float64frombits(bits))
	}
	return int64(bits)
}

// float is a JSON number, or the name of what JSON lacks.
func float(x float64) any {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "Infinity"
	case math.IsInf(x, -1):
		return "-Infinity"
	}
	return x
}

func elements(v gguf.Value, from, count int64) ([]any, error) {
	view := v.Array
	if v.Type() == gguf.String {
		view = v.TextBytes
	}
	a, err := view()
	if err != nil {
		return nil, err
	}
	out, bytes := []any{}, 0
	if a.ElementType == gguf.String {
		err = a.Strings(from, func(_ int64, s []byte) error {
			out = append(out, string(s))
			if bytes += len(s); bytes >= limits.PageBytes {
				return errStop
			}
			return stopAfter(len(out), count)
		})
	} else {
		err = a.Numbers(from, func(_ int64, bits uint64) error {
			out = append(out, number(a.ElementType, bits))
			return stopAfter(len(out), count)
		})
	}
	if err == errStop {
		err = nil
	}
	return out, err
}

var errStop = errs.New(errs.InternalFault, "", "stop")

func stopAfter(n int, count int64) error {
	if int64(n) >= count {
		return errStop
	}
	return nil
}

// TensorReply is a tensor info.
type TensorReply struct {
	Name   string  `json:"name"`
	Shape  []int64 `json:"shape"`
	Type   string  `json:"type"`
	Offset int64   `json:"offset"`
	Bytes  int64   `json:"bytes"`
	Part   int     `json:"part"`
}

// Tensors lists tensor infos.
func (f *File) Tensors(from, count int64) (reply map[string][]TensorReply, err error) {
	g, done, err := f.open()
	if err != nil {
		return nil, err
	}
	defer done(&err)
	out := []TensorReply{}
	for i := max(from, 0); i < int64(g.Tensors()) && int64(len(out)) < min(count, limits.PageEntries); i++ {
		t := g.Tensor(int(i))
		out = append(out, TensorReply{t.Name, t.Shape, t.Type.Name, t.Offset, t.Bytes, t.Part})
	}
	return map[string][]TensorReply{"tensors": out}, nil
}

// Plan is what loading the file as a model would need.
func (f *File) Plan(p device.Precision) (plan *Plan, err error) {
	g, done, err := f.open()
	if err != nil {
		return nil, err
	}
	defer done(&err)
	d, err := f.runtime.device("")
	if err != nil {
		return nil, err
	}
	return f.runtime.plan(g, d, p)
}

// ChunkReply describes a chunk.
type ChunkReply struct {
	Offset       int64 `json:"offset"`
	FirstElement int64 `json:"firstElement"`
	Elements     int64 `json:"elements"`
	Bytes        int64 `json:"bytes"`
	Next         int64 `json:"next"` // −1 behind the last chunk
}

func tensorOf(g *gguf.File, name string) (gguf.TensorInfo, error) {
	t, found := g.FindTensor(name)
	if !found {
		return t, errs.New(errs.GGUFTensorNotFound, name, "no tensor of the file is called %q", name)
	}
	return t, nil
}

// Chunk reads whole blocks from byte offset of a tensor into dst (limits.ChunkBytes), as they are in the file.
func (f *File) Chunk(name string, offset int64, dst []byte) (reply *ChunkReply, err error) {
	g, done, err := f.open()
	if err != nil {
		return nil, err
	}
	defer done(&err)
	t, err := tensorOf(g, name)
	if err != nil {
		return nil, err
	}
	block := int64(t.Type.BlockBytes)
	if offset < 0 || offset%block != 0 || offset > t.Bytes {
		return nil, errs.New(errs.ArgumentInvalid, "offset", "offset %d is no block's start of tensor %s (%d bytes, blocks of %d)", offset, name, t.Bytes, block)
	}
	n := min(int64(limits.ChunkBytes)/block*block, t.Bytes-offset)
	r := &ChunkReply{Offset: t.Offset + offset, FirstElement: offset / block * int64(t.Type.BlockElements),
		Elements: n / block * int64(t.Type.BlockElements), Bytes: n, Next: offset + n}
	if r.Next == t.Bytes {
		r.Next = -1
	}
	return r, g.ReadTensor(&t, offset, dst[:n])
}

// mostFloats is more than any machine has room for: the bytes of more, of a sparse file of few bits an element, would wrap.
const mostFloats = 1 << 58

// Load decodes a tensor into memory that allocate gives, within a limit (0: the default budget).
func (f *File) Load(name string, limit int64, cancelled *atomic.Uint32, allocate func(int64) ([]float32, error)) (err error) {
	g, done, err := f.open()
	if err != nil {
		return err
	}
	defer done(&err)
	t, err := tensorOf(g, name)
	if err != nil {
		return err
	}
	n, _ := t.Shape.Elements()
	grant, err := f.runtime.monitor.TryAllocate(min(n, mostFloats)*4+stream.LoaderBytes, limit, name)
	if err != nil {
		return err
	}
	defer grant.Release()
	out, err := allocate(n)
	if err != nil {
		return err
	}
	l, err := stream.NewLoader(g, f.runtime.ledger)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.ReadFloats(t, out, cancelled)
}
