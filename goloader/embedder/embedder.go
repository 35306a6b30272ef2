package embedder

import (
	"sync"
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
	"gguf-stream/goloader/stream"
	"gguf-stream/goloader/tokenizer"
)

// OpenOptions of one Embedder.
type OpenOptions struct {
	LoadOptions
	Pooling   string // "": the file's
	MaxTokens int    // 0: the model's
	Threads   int    // cap of a run; 0: all
}

// Embedder is one user's handle of a model.
type Embedder struct {
	runtime   *Runtime
	model     *model
	pooling   device.Pooling
	maxTokens int
	threads   int
	info      Info
	mu        sync.Mutex
	closed    bool
	pending   sync.WaitGroup
}

// Open loads the model or shares it. It blocks; cancelled may be set by any goroutine.
func (r *Runtime) Open(o OpenOptions, cancelled *atomic.Uint32, progress stream.Progress) (*Embedder, error) {
	pooling := device.PoolNone
	if o.Pooling != "" {
		p, ok := encoder.FindPooling(o.Pooling)
		if !ok {
			return nil, errs.New(errs.ArgumentInvalid, "pooling", "pooling %q; 'mean', 'cls' or 'last' was expected", o.Pooling)
		}
		pooling = p
	}
	m, shared, err := r.acquire(o.LoadOptions, cancelled, progress)
	if err != nil {
		return nil, err
	}
	e := &Embedder{runtime: r, model: m, pooling: pooling, threads: o.Threads, maxTokens: m.config.Context, info: m.info}
	if e.pooling == device.PoolNone {
		e.pooling = m.config.Pooling
	}
	if o.MaxTokens > 0 {
		e.maxTokens = min(e.maxTokens, max(o.MaxTokens, 2))
	}
	e.info.Path = o.Path // a shared model was loaded by another's, which may be a link to the same file
	e.info.Shared, e.info.MaxTokens, e.info.Pooling = shared, e.maxTokens, encoder.PoolingName(e.pooling)
	return e, nil
}

// Info describes the model.
func (e *Embedder) Info() Info { return e.info }

// CallOptions of one call; nil and zero values are the defaults.
type CallOptions struct {
	Dimensions   int     `json:"dimensions"`
	Normalize    *bool   `json:"normalize"`    // true
	Truncate     *bool   `json:"truncate"`     // true
	ParseSpecial *bool   `json:"parseSpecial"` // true
	Prefix       *string `json:"prefix"`       // overrides task
	Task         string  `json:"task"`
	MaxTokens    int     `json:"maxTokens"`
	Details      bool    `json:"details"`
	First        *int    `json:"first"` // the first text's index in the caller's list, for errors; nil: there is one text
}

func orTrue(b *bool) bool { return b == nil || *b }

// prefix is what goes in front of each text.
func (e *Embedder) prefix(o *CallOptions) (string, error) {
	if o.Prefix != nil {
		return *o.Prefix, nil
	}
	p, known := e.model.family.Prefixes[o.Task]
	if o.Task != "" && !known && len(e.model.family.Prefixes) > 0 && o.Task != "document" && o.Task != "query" {
		return "", errs.New(errs.ArgumentInvalid, "task", "task %q is not one of this model's", o.Task)
	}
	return p, nil
}

func (e *Embedder) tokenOptions(o *CallOptions) tokenizer.Options {
	limit := e.maxTokens
	if o.MaxTokens > 0 {
		limit = min(limit, max(o.MaxTokens, 2))
	}
	return tokenizer.Options{MaxTokens: limit, Truncate: orTrue(o.Truncate), ParseSpecial: orTrue(o.ParseSpecial), CountAll: o.Details}
}

func (e *Embedder) finishing(o *CallOptions) (encoder.Finishing, error) {
	h := e.model.config.HiddenSize
	f := encoder.Finishing{Dimensions: h, Normalize: orTrue(o.Normalize)}
	if o.Dimensions != 0 {
		if o.Dimensions < 1 || o.Dimensions > h {
			return f, errs.New(errs.ArgumentInvalid, "dimensions", "dimensions is %d; 1 to %d are possible", o.Dimensions, h)
		}
		f.Dimensions, f.LayerNorm = o.Dimensions, e.model.family.LayerNorm
	}
	return f, nil
}

// Tokenize gives the ids of all texts, one text's after another's, and how many each has. They are counted first, so that
// the caller brings the memory for them; without allocate they are counted alone.
func (e *Embedder) Tokenize(texts [][]byte, o CallOptions, cancelled *atomic.Uint32, allocate func(ids int64) ([]uint32, error)) (ids []uint32, counts []int, err error) {
	if err := e.enter(); err != nil {
		return nil, nil, err
	}
	defer e.pending.Done()
	prefix, err := e.prefix(&o)
	if err != nil {
		return nil, nil, err
	}
	options, s, j := e.tokenOptions(&o), new(tokenizer.Scratch), joiner{ledger: e.runtime.ledger}
	options.Cancelled = cancelled
	options.MaxTokens = o.MaxTokens // tokens of the text itself, unless asked to cut
	defer j.free()
	if counts, err = memory.MakeSlice[int](int64(len(texts))); err != nil {
		return nil, nil, err
	}
	total := int64(0)
	for i, t := range texts {
		if t, err = j.join([]byte(prefix), t); err == nil {
			counts[i], err = tokenizer.Count(e.model.tokenizer, t, options, s)
		}
		if err != nil {
			return nil, nil, err
		}
		total += int64(counts[i])
	}
	if allocate == nil {
		return nil, counts, nil
	}
	if ids, err = allocate(total); err != nil {
		return nil, nil, err
	}
	ids = ids[:0:total]
	for _, t := range texts {
		if t, err = j.join([]byte(prefix), t); err == nil {
			ids, _, err = e.model.tokenizer.Encode(ids, t, options, s)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return ids, counts, nil
}

// enter counts a call under way, or refuses it when the Embedder is closed.
func (e *Embedder) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errs.New(errs.Closed, "", "the embedder is closed")
	}
	e.pending.Add(1)
	return nil
}

// Close rejects what this Embedder has queued with ERR_CLOSED, waits for what runs and gives up the model.
// Calling it again returns at once.
func (e *Embedder) Close() {
	e.mu.Lock()
	was := e.closed
	e.closed = true
	e.mu.Unlock()
	if was {
		return
	}
	e.model.queue.reject(e)
	e.pending.Wait()
	e.runtime.release(e.model)
}
