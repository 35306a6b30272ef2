package encoder

import (
	"cmp"
	"math"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/limits"
)

// Config is a model's hyperparameters, read from the file and checked.
type Config struct {
	Architecture *Architecture
	Family       *Family
	Layers       int
	HiddenSize   int
	Heads        int
	HeadSize     int // HiddenSize / Heads
	FeedForward  int
	Context      int // most tokens of a text
	Epsilon      float32
	RotaryBase   float64
	Pooling      device.Pooling
}

// poolings names GGUF's pooling_type values.
var poolings = map[device.Pooling]string{device.PoolMean: "mean", device.PoolCLS: "cls", device.PoolLast: "last"}

// PoolingName is "mean", "cls" or "last".
func PoolingName(p device.Pooling) string { return poolings[p] }

// FindPooling is the pooling of a name.
func FindPooling(name string) (device.Pooling, bool) {
	for p, n := range poolings {
		if n == name {
			return p, true
		}
	}
	return device.PoolNone, false
}

const architectureKey = "general.architecture"

// ReadConfig reads the keys that the file's architecture needs. ERR_ARCHITECTURE for one that is not in the
// table, ERR_MODEL_KEY for a missing or impossible value.
func ReadConfig(f *gguf.File) (*Config, error) {
	name, err := f.Text(architectureKey, "")
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errs.New(errs.ModelKey, architectureKey, "the file has no %s", architectureKey)
	}
	a, known := findArchitecture(name)
	if !known {
		return nil, errs.New(errs.Architecture, architectureKey, "architecture %q is not known here; known: %s", name, Architectures())
	}
	family, err := FindFamily(f)
	if err != nil {
		return nil, err
	}
	r := keyReader{file: f, prefix: name + "."}
	c := &Config{Architecture: a, Family: family,
		Layers:      r.count("block_count", 1, limits.Layers, 0),
		HiddenSize:  r.count("embedding_length", 1, limits.HiddenSize, 0),
		Heads:       r.count("attention.head_count", 1, limits.HiddenSize, 0),
		FeedForward: r.count("feed_forward_length", 1, limits.HiddenSize, 0),
		Context:     r.count("context_length", 2, limits.ContextTokens, 0),
		Epsilon:     r.epsilon("attention.layer_norm_epsilon"),
		Pooling:     cmp.Or(device.Pooling(r.count("pooling_type", 0, 4, 0)), family.Pooling, a.Pooling),
	}
	if a.Positions == RotaryPositions {
		c.RotaryBase = r.positive("rope.freq_base", 10000)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := c.check(r.prefix); err != nil {
		return nil, err
	}
	return c, r.checkVariant(c)
}

func (c *Config) check(prefix string) error {
	if c.HiddenSize%c.Heads != 0 {
		return errs.New(errs.ModelKey, prefix+"attention.head_count", "%d heads do not divide the hidden size %d", c.Heads, c.HiddenSize)
	}
	c.HeadSize = c.HiddenSize / c.Heads
	if c.Architecture.Positions == RotaryPositions && c.HeadSize%2 != 0 {
		return errs.New(errs.ModelKey, prefix+"attention.head_count", "rotary positions need an even head size; it is %d", c.HeadSize)
	}
	if _, ok := poolings[c.Pooling]; !ok {
		return errs.New(errs.ModelKey, prefix+"pooling_type", "pooling type %d is not known here; 1 (mean), 2 (cls) and 3 (last) are", c.Pooling)
	}
	return nil
}

// keyReader reads keys one after another and keeps the first error.
type keyReader struct {
	file   *gguf.File
	prefix string
	err    error
}

// count is an integer key within lo…hi; absent 0 means that the key is required.
func (r *keyReader) count(key string, lo, hi uint64, absent int) int {
	n, err := r.file.Uint(r.prefix+key, uint64(absent))
	switch {
	case r.err != nil:
	case err != nil:
		r.err = err
	case n == 0 && absent == 0 && lo > 0:
		r.err = errs.New(errs.ModelKey, r.prefix+key, "%s%s is missing or 0", r.prefix, key)
	case n < lo || n > hi:
		r.err = errs.New(errs.ModelKey, r.prefix+key, "%s%s is %d; %d to %d are possible", r.prefix, key, n, lo, hi)
	}
	return int(n)
}

func (r *keyReader) epsilon(key string) float32 {
	v, err := r.file.Float(r.prefix+key, math.NaN())
	if r.err == nil {
		r.err = err
	}
	if r.err == nil && !(v > 0 && v < 1) {
		r.err = errs.New(errs.ModelKey, r.prefix+key, "%s%s is missing or impossible (%g); it must be above 0 and below 1", r.prefix, key, v)
	}
	return float32(v)
}

func (r *keyReader) positive(key string, absent float64) float64 {
	v, err := r.file.Float(r.prefix+key, absent)
	if r.err == nil {
		r.err = err
	}
	if r.err == nil && !(v > 0 && v < 1e12) {
		r.err = errs.New(errs.ModelKey, r.prefix+key, "%s%s is %g; it must be positive and finite", r.prefix, key, v)
	}
	return v
}
