package embedder

import (
	"fmt"
	"strings"
	"sync/atomic"

	"gguf-stream/device"
	"gguf-stream/goloader/encoder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/gguf"
	"gguf-stream/goloader/stream"
	"gguf-stream/goloader/tokenizer"
)

// Status of a check, and the verdict of a report.
type Status string

// The statuses. A warning is something that works, but probably not as meant.
const (
	Good    Status = "good"
	Warning Status = "warning"
	Bad     Status = "bad"
	Skipped Status = "skipped"
)

// Check is one line of a report.
type Check struct {
	Name   string    `json:"name"`
	Status Status    `json:"status"`
	Detail []string  `json:"detail"`
	Code   errs.Code `json:"code,omitempty"` // of what is bad
	Field  string    `json:"field,omitempty"`
	Offset *int64    `json:"offset,omitempty"`
}

// Report says whether a file can be used, and why not. Verdict is the worst status of its checks.
type Report struct {
	Path    string  `json:"path"`
	Verdict Status  `json:"verdict"`
	Checks  []Check `json:"checks"`
}

// verification is a Verify under way.
type verification struct {
	runtime   *Runtime
	path      string
	cancelled *atomic.Uint32
	file      *gguf.File
	config    *encoder.Config // nil when the model cannot be read
	layout    *encoder.Layout
	tokenizer tokenizer.Tokenizer // nil when there is none
	family    *encoder.Family
	check     *Check // the one under way
}

// steps are the checks in their order; each says in v.check what it found, and returns what is bad.
var steps = []struct {
	name string
	run  func(*verification) error
}{
	{"structure", (*verification).structure},
	{"architecture", (*verification).architecture},
	{"numbers", (*verification).numbers},
	{"tokenizer", (*verification).vocabulary},
	{"metadata", (*verification).metadata},
	{"vectors", (*verification).vectors},
}

// errSkip ends a step that needs what an earlier one did not find.
var errSkip = errs.New(errs.InternalFault, "", "skipped")

// Verify checks a model from its header to its vectors. The error is only that of a cancelled call.
func (r *Runtime) Verify(path string, cancelled *atomic.Uint32) (*Report, error) {
	v := &verification{runtime: r, path: path, cancelled: cancelled}
	defer v.close()
	report := &Report{Path: path, Verdict: Good}
	for _, s := range steps {
		c := Check{Name: s.name, Status: Good, Detail: []string{}}
		v.check = &c
		err := s.run(v)
		if v.file != nil && err != errSkip {
			err = v.file.Conclude(err)
		}
		switch {
		case isCode(err, errs.Aborted):
			return nil, err
		case err == errSkip:
			c.Status = Skipped
		case err != nil:
			c.fail(errs.From(err))
		}
		report.add(c)
	}
	return report, nil
}

func (v *verification) close() {
	if v.tokenizer != nil {
		v.tokenizer.Close()
	}
	if v.file != nil {
		v.file.Close()
	}
}

func (c *Check) fail(e *errs.Error) {
	c.Status, c.Code, c.Field = Bad, e.Code, e.Field
	c.Detail = append(c.Detail, e.Message)
	if e.Offset != errs.NoOffset {
		c.Offset = &e.Offset
	}
}

func (c *Check) say(format string, args ...any) {
	c.Detail = append(c.Detail, fmt.Sprintf(format, args...))
}

func (c *Check) warn(format string, args ...any) {
	c.Status = Warning
	c.say(format, args...)
}

func (r *Report) add(c Check) {
	r.Checks = append(r.Checks, c)
	if c.Status == Bad || c.Status == Warning && r.Verdict == Good {
		r.Verdict = c.Status
	}
}

func (v *verification) structure() (err error) {
	defer turn(v.runtime.disk)()
	if v.file, err = gguf.OpenThrough(v.path, v.runtime.ledger, v.runtime.wrap); err != nil {
		return err
	}
	f := v.file
	v.check.say("GGUF v%d, %d metadata pairs, %d tensors, %d bytes in %d part(s)", f.Version(), f.Pairs(), f.Tensors(), f.Size(), f.Parts())
	return nil
}

func (v *verification) architecture() error {
	if v.file == nil {
		return errSkip
	}
	d, err := v.runtime.device("")
	if err != nil {
		return err
	}
	plan, err := v.runtime.planWeights(v.file, d, device.Exact)
	if err != nil {
		return err
	}
	if !plan.Fits {
		return errs.New(errs.MemoryLimit, "model", "the model needs %d bytes, but only %d are available", plan.Total, plan.Available)
	}
	v.config, v.layout = plan.config, plan.layout
	c := v.config
	v.check.say("%s: %d layers of %d, %d heads, %d tokens, %d parameters", c.Architecture.Name, c.Layers, c.HiddenSize, c.Heads, c.Context, v.layout.Parameters)
	if unused := v.file.Tensors() - len(v.layout.Infos); unused > 0 {
		v.check.say("%d tensors are not used", unused)
	}
	return nil
}

// tooLarge says that reading all tensors could take hours, as of a sparse file: used or not, and whether the model is known
// here, they are more than this machine has room for.
func (v *verification) tooLarge() bool {
	available, bound := v.runtime.monitor.Available(0)
	left := available
	for i := 0; i < v.file.Tensors() && left >= 0; i++ {
		left -= v.file.Tensor(i).Bytes
	}
	if left < 0 {
		v.check.say("not read: the tensors have more bytes than the %d that are available (bound: %s)", available, bound)
	}
	return left < 0
}

// holeBytes of zeros in a row are none that a model was trained to: a download with a hole in it, or a file written over by one.
const holeBytes = 64 << 10

// leastHole is how many elements that is, all of a smaller tensor.
func leastHole(t gguf.TensorInfo) int64 {
	return min(t.Bytes, holeBytes) / int64(t.Type.BlockBytes) * int64(t.Type.BlockElements)
}

// numbers decodes every tensor of the file that has values, used or not.
func (v *verification) numbers() error {
	if v.file == nil || v.tooLarge() {
		return errSkip
	}
	defer turn(v.runtime.disk)()
	l, err := stream.NewLoader(v.file, v.runtime.ledger)
	if err != nil {
		return err
	}
	defer l.Close()
	decoded, bytes := 0, int64(0)
	for i := range v.file.Tensors() {
		t := v.file.Tensor(i)
		if t.Type.Decode == nil || t.Bytes == 0 {
			continue
		}
		zeros, err := l.Survey(t, v.cancelled)
		if err != nil {
			return err
		}
		if len(t.Shape) > 1 && zeros >= leastHole(t) {
			v.check.warn("tensor %s holds %d zeros in a row: is the file complete?", t.Name, zeros)
		}
		decoded++
		bytes += t.Bytes
	}
	v.check.say("%d tensors of %d bytes decode to finite numbers", decoded, bytes)
	return nil
}

// metadata compares what the file says with what is known of its family.
func (v *verification) metadata() error {
	if v.config == nil {
		return errSkip
	}
	v.family = v.config.Family
	if said, err := v.file.Uint(v.config.Architecture.Name+".pooling_type", uint64(device.PoolNone)); err != nil {
		return err
	} else if said == uint64(device.PoolNone) {
		v.check.warn("the file does not say its pooling; %s is taken", encoder.PoolingName(v.config.Pooling))
	}
	if v.family.Name == "" {
		v.check.say("no model of this name is known: nothing to compare with")
		return nil
	}
	v.compareFamily()
	return nil
}

func (v *verification) compareFamily() {
	f, c := v.family, v.config
	v.check.say("known as %s", f.Name)
	if f.Pooling != device.PoolNone && f.Pooling != c.Pooling {
		v.check.warn("the file pools by %s; this model is used with %s", encoder.PoolingName(c.Pooling), encoder.PoolingName(f.Pooling))
	}
	switch {
	case f.MaxTokens > c.Context:
		v.check.say("the file takes %d tokens, the original model %d", c.Context, f.MaxTokens)
	case f.MaxTokens > 0 && f.MaxTokens < c.Context:
		v.check.say("the file takes %d tokens; sentence-transformers cuts this model's texts at %d (maxTokens)", c.Context, f.MaxTokens)
	}
	var tasks []string
	for task, prefix := range f.Prefixes {
		tasks = append(tasks, fmt.Sprintf("%s %q", task, prefix))
	}
	if len(tasks) > 0 {
		v.check.say("prefixes by task: %s", strings.Join(sorted(tasks), ", "))
	}
}
