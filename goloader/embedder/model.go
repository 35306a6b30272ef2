package embedder

import (
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/stream"
	"gguf-stream/goloader/tokenizer"
)

// modelKey says which loads are of the same weights.
type modelKey struct {
	file      gguf.Fingerprint
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
	disk       seat          // of Runtime.disk, held by the load
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
		w := &waiter{cancelled, progress}
		file, err := r.identify(o.Path, w)
		if err != nil {
			return nil, false, err
		}
		m, shared := r.join(modelKey{file, o.Precision, d.Name()})
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
		// another's load: all who waited for it left, or it was refused under a memory limit that is not ours
		if !shared || !isCode(m.err, errs.Aborted) && !isCode(m.err, errs.MemoryLimit) {
			return nil, false, m.err
		}
	}
}

// identify reads which file the path names, in its turn at the disk.
func (r *Runtime) identify(path string, w *waiter) (gguf.Fingerprint, error) {
	disk := seat{free: r.disk, gone: w.gone}
	if err := disk.take(); err != nil {
		return "", err
	}
	defer disk.leave()
	return gguf.Identify(path)
}

// join takes a reference to the model of a key; shared says whether it was there.
func (r *Runtime) join(key modelKey) (m *model, shared bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, shared = r.models[key]
	if !shared {
		m = &model{key: key, loaded: make(chan struct{}), compute: r.compute}
		m.disk = seat{free: r.disk, gone: m.waiters.gone}
		m.batcher.model, m.batcher.joiner.ledger = m, r.ledger
		r.models[key] = m
	}
	m.references++
	return m, shared
}

// run loads the model and tells those who wait.
func (r *Runtime) run(m *model, d device.Device, o LoadOptions) {
	defer close(m.loaded)
	defer m.disk.leave()
	defer func() {
		if e := recover(); e != nil {
			m.err = errs.Fault("", e)
		}
		if m.err != nil {
			r.mu.Lock()
			delete(r.models, m.key) // a failed load may be tried again
			r.mu.Unlock()
			m.close()
		}
	}()
	if m.err = m.disk.take(); m.err == nil {
		m.err = r.load(m, d, o)
	}
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
	if !m.key.file.StartsWith(f.Fingerprint()) { // else the next load of that other file would get these weights
		return errs.New(errs.FileChanged, "path", "the file was replaced while it was opened; load it again: %s", o.Path)
	}
	return f.Conclude(r.loadOpened(m, f, d, o))
}

func (r *Runtime) loadOpened(m *model, f *gguf.File, d device.Device, o LoadOptions) error {
	if err := m.waiters.wanted(); err != nil {
		return err
	}
	plan, err := r.plan(f, d, o.Precision)
	if err != nil {
		return err
	}
	if err := m.waiters.wanted(); err != nil {
		return err
	}
	grant, err := r.monitor.Allocate(plan.Total, o.MemoryLimit, "model", m.awaitMemory)
	if err != nil {
		return err
	}
	m.onClose(grant.Release)
	defer grant.Filled()
	m.config, m.layout, m.family = plan.config, plan.layout, plan.config.Family
	weights := float64(plan.Weights) / float64(plan.Total)
	filled := func(share float64) { grant.FilledTo(share * weights) }
	if err := r.loadWeights(m, f, d, o.Precision, filled); err != nil {
		return err
	}
	if err := m.waiters.wanted(); err != nil {
		return err
	}
	if m.tokenizer, err = loadTokenizer(f, r.ledger); err != nil {
		return err
	}
	m.onClose(m.tokenizer.Close)
	if err := checkRows(m.tokenizer, m.layout); err != nil {
		return err
	}
	m.info, err = describe(f, m, plan, o, d)
	return err
}

func (r *Runtime) loadWeights(m *model, f *gguf.File, d device.Device, p device.Precision, filled func(share float64)) error {
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
	progress := func(loaded, total int64, tensor string) {
		filled(float64(loaded) / float64(total))
		m.waiters.report(loaded, total, tensor)
	}
	if err := loader.Load(targets, &m.waiters.stop, progress); err != nil {
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
