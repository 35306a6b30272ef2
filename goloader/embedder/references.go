package embedder

import (
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"sync"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/tokenizer"
)

// references.json holds texts with their token ids and their vectors in the original models (float64 arithmetic over the
// published weights; base64 of little-endian float32). TestReferencesAreTheGoldens compares it with test/golden.
//
//go:embed references.json
var referencesJSON []byte

type referenceModel struct {
	Family     string
	HiddenSize int
	Layers     int
	Texts      []referenceText
}

type referenceText struct {
	Text   string
	IDs    []uint32
	Vector []byte
}

var references = sync.OnceValue(func() (list []referenceModel) {
	if err := json.Unmarshal(referencesJSON, &list); err != nil {
		panic("embedder: references.json: " + err.Error())
	}
	return list
})

func (t *referenceText) vector() []float32 {
	out := make([]float32, len(t.Vector)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Vector[4*i:]))
	}
	return out
}

// distances: how far 1 − cosine to the original may be, by the fewest bits that a weight of a matrix has. Measured on
// MiniLM, worst of 40 texts: F16 3.9e-7, Q8_0 4.4e-4, Q4_K_M 3.3e-2.
var distances = []struct {
	bits  float64
	bound float64
}{{16, 1e-5}, {8, 2e-3}, {4, 0.1}, {0, 0.3}}

// vectors loads the model, embeds, and compares with the original where this one is known.
func (v *verification) vectors() error {
	if v.config == nil || v.tokenizer == nil || v.family == nil {
		return errSkip
	}
	e, err := v.runtime.Open(OpenOptions{LoadOptions: LoadOptions{Path: v.path}}, v.cancelled, nil)
	if err != nil {
		return err
	}
	defer e.Close()
	i := slices.IndexFunc(references(), func(r referenceModel) bool {
		return r.Family == v.family.Name && r.HiddenSize == v.config.HiddenSize && r.Layers == v.config.Layers
	})
	if i < 0 {
		return v.plain(e)
	}
	return v.compare(e, &references()[i])
}

// plain embeds two texts of a model that is not known: the vectors must be numbers, and differ.
func (v *verification) plain(e *Embedder) error {
	vectors, err := v.embed(e, []string{"a text", "some other words"})
	if err != nil {
		return err
	}
	half := len(vectors) / 2
	if slices.Equal(vectors[:half], vectors[half:]) {
		v.check.warn("two texts have the same vector")
	}
	v.check.say("embeds; no reference vectors of this model are known")
	return nil
}

// onHeap is for few ids.
func onHeap(ids int64) ([]uint32, error) { return make([]uint32, ids), nil }

func (v *verification) compare(e *Embedder, r *referenceModel) error {
	texts := make([]string, len(r.Texts))
	for i, t := range r.Texts {
		texts[i] = t.Text
		ids, _, err := e.Tokenize([][]byte{[]byte(t.Text)}, CallOptions{}, nil, onHeap)
		if err != nil {
			return err
		}
		if !slices.Equal(ids, t.IDs) {
			return errs.New(errs.TokenizerVocab, tokenizer.TokensKey, "the text %q has the ids %v; in the original model %v", t.Text, ids, t.IDs)
		}
	}
	vectors, err := v.embed(e, texts)
	if err != nil {
		return err
	}
	bound, worst := v.bound(), 0.0
	for i := range r.Texts {
		worst = max(worst, distance(vectors[i*r.HiddenSize:][:r.HiddenSize], r.Texts[i].vector()))
	}
	v.check.say("%d reference texts: the same ids, 1 − cosine %.2g at worst (up to %.2g is usual for such weights)", len(texts), worst, bound)
	if worst > bound {
		v.check.warn("the vectors are further from the original model's than its quantisation explains")
	}
	return nil
}

// bound goes by the narrowest matrix.
func (v *verification) bound() float64 {
	bits := 32.0
	for _, s := range v.layout.Specs {
		if s.Role == device.Matrix {
			bits = min(bits, float64(s.Type.BlockBytes*8)/float64(s.Type.BlockElements))
		}
	}
	return distances[slices.IndexFunc(distances, func(d struct{ bits, bound float64 }) bool { return bits >= d.bits })].bound
}

// distance is 1 − cosine of two vectors of norm 1: half the square of their difference, which does not cancel.
func distance(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return sum / 2
}

func (v *verification) embed(e *Embedder, texts []string) (out []float32, err error) {
	raw := make([][]byte, len(texts))
	for i, t := range texts {
		raw[i] = []byte(t)
	}
	done := make(chan error, 1)
	e.Submit(&Request{Texts: raw, Cancelled: v.cancelled, Done: func(_ *Result, err error) { done <- err },
		Allocate: func(n int64) ([]float32, error) { out = make([]float32, n); return out, nil }})
	return out, <-done
}
