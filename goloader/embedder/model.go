package embedder

import (
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/stream"
	"gguf-stream/goloader/tokenizer"
)

// modelKey says which loads are of the same weights.
type modelKey struct {
	file      gguf.Identity
	precision device.Precision
	device    string
}

// model is a loaded file, shared by Embedders. Its parts are released in reverse by close.
type model struct {
	key        modelKey
	config     *encoder.Config
	layout     *encoder.Layout
	family     *encoder.Family
	tokenizer  tokenizer.Tokenizer
	executable device.Executable
	info       Info
	references int           // guarded by Runtime.mu
	loaded     chan struct{} // closed when err or all above is set
	err        error
	waiters    waiters
	compute    chan struct{} // Runtime.compute
	closers    []func()
	queue      queue
	batcher    batcher
}

func (m *model) onClose(f func()) { m.closers = append(m.closers, f) }

func (m *model) close() {
	for i := len(m.closers) - 1; i >= 0; i-- {
		m.closers[i]()
	}
	m.closers = nil
}

// LoadOptions of one model.
type LoadOptions struct {
	Path        string
	Precision   device.Precision
	Device      string
	MemoryLimit int64 // bytes; 0: the default budget
}

// acquire returns the loaded model, shared if another load has it or is at it. A load goes on while
// anybody waits for it, whoever began it.
func (r *Runtime) acquire(o LoadOptions, cancelled *atomic.Uint32, progress stream.Progress) (*model, bool, error) {
	d, err := r.device(o.Device)
	if err != nil {
		return nil, false, err
	}
	for {
		leave := turn(r.disk)
		identity, err := gguf.Identify(o.Path)
		leave()
		if err != nil {
			return nil, false, err
		}
		m, shared := r.join(modelKey{identity, o.Precision, d.Name()})
		w := &waiter{cancelled, progress}
		m.waiters.enter(w)
		if !shared {
			go r.run(m, d, o)
		}
		if err := m.wait(w); err != nil {
			r.release(m)
			return nil, false, err
		}
		if m.err == nil {
			return m, shared, nil
		}
		r.release(m)
		if !isCode(m.err, errs.Aborted) { // else all who waited before us left: begin anew
			return nil, false, m.err
		}
	}
}

// join takes a reference to the model of a key; shared says whether it was there.
func (r *Runtime) join(key modelKey) (m *model, shared bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, shared = r.models[key]
	if !shared {
		m = &model{key: key, loaded: make(chan struct{}), compute: r.compute}
		m.batcher.model = m
		r.models[key] = m
	}
	m.references++
	return m, shared
}

// run loads the model and tells those who wait.
func (r *Runtime) run(m *model, d device.Device, o LoadOptions) {
	defer close(m.loaded)
	defer turn(r.disk)()
	defer func() {
		if e := recover(); e != nil {
			m.err = errs.New(errs.InternalFault, "", "a fault of this library, please report it: %v", e)
		}
		if m.err != nil {
			r.mu.Lock()
			delete(r.models, m.key) // a failed load may be tried again
			r.mu.Unlock()
			m.close()
		}
	}()
	m.err = r.load(m, d, o)
}

// forward runs the program in its turn.
func (m *model) forward(b *device.Batch) error {
	defer turn(m.compute)()
	return m.executable.Run(b)
}

func isCode(err error, code errs.Code) bool { return err != nil && errs.From(err).Code == code }

// release gives up one reference; the last one frees the model.
func (r *Runtime) release(m *model) {
	r.mu.Lock()
	m.references--
	last := m.references == 0
	if last && r.models[m.key] == m {
		delete(r.models, m.key)
	}
	r.mu.Unlock()
	if last {
		m.close()
	}
}

// load reads the header, reserves what the plan says, and streams the rest.
func (r *Runtime) load(m *model, d device.Device, o LoadOptions) error {
	f, err := gguf.OpenThrough(o.Path, r.ledger, r.wrap)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Identity() != m.key.file { // else the next load of that other file would get these weights
		return errs.New(errs.FileChanged, "path", "%s was replaced while it was opened; load it again", o.Path)
	}
	return f.Locate(r.loadOpened(m, f, d, o))
}

func (r *Runtime) loadOpened(m *model, f *gguf.File, d device.Device, o LoadOptions) error {
	plan, err := r.plan(f, d, o.Precision)
	if err != nil {
		return err
	}
	release, err := r.monitor.TryAllocate(plan.Total, o.MemoryLimit, "model")
	if err != nil {
		return err
	}
	m.onClose(release)
	m.config, m.layout = plan.config, plan.layout
	if err := r.loadWeights(m, f, d, o.Precision); err != nil {
		return err
	}
	if m.tokenizer, err = loadTokenizer(f, r.ledger); err != nil {
		return err
	}
	m.onClose(m.tokenizer.Close)
	if n := m.tokenizer.Len(); n > m.layout.Vocabulary {
		return errs.New(errs.TokenizerVocab, tokensKey, "%d tokens, but token_embd has only %d rows", n, m.layout.Vocabulary)
	}
	if m.family, err = encoder.FindFamily(f); err != nil {
		return err
	}
	m.info, err = describe(f, m, plan, o, r.cpu.KernelSet())
	return err
}

func (r *Runtime) loadWeights(m *model, f *gguf.File, d device.Device, p device.Precision) error {
	w, err := d.NewWeights(m.layout.Specs, p)
	if err != nil {
		return err
	}
	m.onClose(w.Close)
	loader, err := stream.NewLoader(f, r.ledger)
	if err != nil {
		return err
	}
	defer loader.Close()
	targets := make([]stream.Target, len(m.layout.Infos))
	for i, info := range m.layout.Infos {
		targets[i] = stream.Target{Info: info, Builder: w.Builder(i)}
	}
	if err := loader.Load(targets, &m.waiters.stop, m.waiters.report); err != nil {
		return err
	}
	if err := w.Seal(); err != nil {
		return err
	}
	program, table, err := encoder.Forward(m.config, m.layout, r.ledger)
	if err != nil {
		return err
	}
	m.onClose(table.Free)
	if m.executable, err = d.Compile(program, w); err != nil {
		return err
	}
	m.onClose(m.executable.Close)
	return nil
}

// Plan is what a load will need, computed from the header alone.
type Plan struct {
	Architecture string           `json:"architecture"`
	Weights      int64            `json:"weights"`
	Staging      int64            `json:"staging"`
	Vocab        int64            `json:"vocab"`
	Total        int64            `json:"total"`
	Available    int64            `json:"available"`
	Fits         bool             `json:"fits"`
	TensorBytes  int64            `json:"tensorBytes"`
	Types        map[string]int64 `json:"types"` // bytes in the file by type
	config       *encoder.Config
	layout       *encoder.Layout
}

func (r *Runtime) plan(f *gguf.File, d device.Device, p device.Precision) (*Plan, error) {
	c, err := encoder.ReadConfig(f)
	if err != nil {
		return nil, err
	}
	l, err := encoder.ReadLayout(f, c)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Architecture: c.Architecture.Name, Staging: stream.WorkingBytes, Types: map[string]int64{}, config: c, layout: l}
	if plan.Weights, err = d.WeightBytes(l.Specs, p); err != nil {
		return nil, err
	}
	plan.Weights += c.RotaryBytes()
	if plan.Vocab, err = vocabularyBytes(f); err != nil {
		return nil, err
	}
	for i := range f.Tensors() {
		t := f.Tensor(i)
		plan.TensorBytes += t.Bytes
		plan.Types[t.Type.Name] += t.Bytes
	}
	plan.Total = plan.Weights + plan.Staging + plan.Vocab
	plan.Available, _ = r.monitor.Available(0)
	plan.Fits = plan.Total <= plan.Available
	return plan, nil
}

// vocabularyBytes is what the file's vocabulary will take; 0 without one.
func vocabularyBytes(f *gguf.File) (int64, error) {
	_, found, err := f.Find(tokensKey)
	if err != nil || !found {
		return 0, err
	}
	tokens, err := arrayOf(f, tokensKey)
	if err != nil {
		return 0, err
	}
	text, err := textBytes(tokens)
	return tokenizer.VocabularyBytes(tokens.Len, text), err
}

// textBytes adds up the tokens' lengths.
func textBytes(tokens gguf.ArrayView) (n int64, err error) {
	err = tokens.Strings(0, func(_ int64, s []byte) error { n += int64(len(s)); return nil })
	return n, err
}

func loadTokenizer(f *gguf.File, ledger *memory.Ledger) (tokenizer.Tokenizer, error) {
	name, err := f.Text("tokenizer.ggml.model", "")
	if err != nil {
		return nil, err
	}
	kind, err := tokenizer.FindKind(name)
	if err != nil {
		return nil, err
	}
	config, err := tokenizerConfig(f, kind.Defaults)
	if err != nil {
		return nil, err
	}
	v, err := loadVocabulary(f, ledger)
	if err != nil {
		return nil, err
	}
	t, err := kind.Build(v, config)
	if err != nil {
		v.Close()
		return nil, err
	}
	return t, nil
}

func tokenizerConfig(f *gguf.File, c tokenizer.Config) (tokenizer.Config, error) {
	const prefix = "tokenizer.ggml."
	for _, k := range []struct {
		to   *int64
		keys []string // the first that the file has
	}{{&c.CLS, []string{"cls_token_id", "bos_token_id"}}, {&c.SEP, []string{"seperator_token_id", "eos_token_id"}}, {&c.UNK, []string{"unknown_token_id"}}} {
		for i := len(k.keys) - 1; i >= 0; i-- {
			id, err := f.Uint(prefix+k.keys[i], uint64(*k.to))
			if err != nil {
				return c, err
			}
			*k.to = int64(min(id, 1<<40))
		}
	}
	var err error
	if c.Lowercase, err = f.Flag(prefix + "normalizer.lowercase"); err != nil {
		return c, err
	}
	c.StripAccents, err = f.Flag(prefix + "normalizer.strip_accents")
	return c, err
}

const tokensKey = "tokenizer.ggml.tokens"

func loadVocabulary(f *gguf.File, ledger *memory.Ledger) (*tokenizer.Vocabulary, error) {
	tokens, err := arrayOf(f, tokensKey)
	if err != nil {
		return nil, err
	}
	text, err := textBytes(tokens)
	if err != nil {
		return nil, err
	}
	v, err := tokenizer.NewVocabulary(ledger, tokens.Len, text)
	if err != nil {
		return nil, err
	}
	if err := fillVocabulary(v, f, tokens); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func fillVocabulary(v *tokenizer.Vocabulary, f *gguf.File, tokens gguf.ArrayView) error {
	if err := tokens.Strings(0, func(_ int64, s []byte) error { return v.Add(s) }); err != nil {
		return err
	}
	types, err := arrayOf(f, "tokenizer.ggml.token_type")
	if err != nil {
		return err
	}
	if types.Len != tokens.Len {
		return errs.New(errs.TokenizerVocab, "tokenizer.ggml.token_type", "%d token types for %d tokens", types.Len, tokens.Len)
	}
	return types.Numbers(0, func(i int64, bits uint64) error {
		if bits > 255 {
			return errs.New(errs.TokenizerVocab, "tokenizer.ggml.token_type", "token %d has type %d; 1 to 6 are known", i, int64(bits))
		}
		return v.SetType(int(i), tokenizer.TokenType(bits))
	})
}

func arrayOf(f *gguf.File, key string) (gguf.ArrayView, error) {
	v, found, err := f.Find(key)
	if err != nil {
		return gguf.ArrayView{}, err
	}
	if !found {
		return gguf.ArrayView{}, errs.New(errs.ModelKey, key, "the file has no %s", key)
	}
	return v.Array()
}

// Info describes a loaded model to its users.
type Info struct {
	Architecture   string            `json:"architecture"`
	Name           string            `json:"name"`
	Path           string            `json:"path"`
	FileBytes      int64             `json:"fileBytes"`
	TensorBytes    int64             `json:"tensorBytes"`
	WeightBytes    int64             `json:"weightBytes"`
	HiddenSize     int               `json:"hiddenSize"`
	Layers         int               `json:"layers"`
	Heads          int               `json:"heads"`
	FeedForward    int               `json:"feedForwardSize"`
	ContextLength  int               `json:"contextLength"`
	MaxTokens      int               `json:"maxTokens"`
	VocabularySize int               `json:"vocabularySize"`
	Parameters     int64             `json:"parameters"`
	Pooling        string            `json:"pooling"`
	Precision      string            `json:"precision"`
	Device         string            `json:"device"`
	Kernels        string            `json:"kernels"`
	Family         string            `json:"family"`
	Prefixes       map[string]string `json:"prefixes"`
	Dimensions     []int             `json:"dimensions"`
	TensorTypes    map[string]int64  `json:"tensorTypes"`
	Shared         bool              `json:"shared"`
}

var precisionNames = map[device.Precision]string{device.Exact: "exact", device.Fast: "fast"}

func describe(f *gguf.File, m *model, plan *Plan, o LoadOptions, kernels string) (Info, error) {
	name, err := f.Text("general.name", "")
	c := m.config
	return Info{Architecture: c.Architecture.Name, Name: name, Path: o.Path, FileBytes: f.Size(), TensorBytes: plan.TensorBytes,
		WeightBytes: plan.Weights, HiddenSize: c.HiddenSize, Layers: c.Layers, Heads: c.Heads, FeedForward: c.FeedForward,
		ContextLength: c.Context, MaxTokens: c.Context, VocabularySize: m.tokenizer.Len(), Parameters: c.Parameters,
		Pooling: encoder.PoolingName(c.Pooling), Precision: precisionNames[o.Precision], Device: m.key.device, Kernels: kernels,
		Family: m.family.Name, Prefixes: orEmpty(m.family.Prefixes), Dimensions: append([]int{}, m.family.Dimensions...), TensorTypes: plan.Types}, err
}

// orEmpty: JSON's {} instead of null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
