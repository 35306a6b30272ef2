package reference

import (
	"math"

	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
)

// Compile implements device.Device. ERR_INTERNAL for a program that contradicts itself or its tensors.
func (d *Device) Compile(p *device.Program, dw device.Weights) (device.Executable, error) {
	w, ok := dw.(*weights)
	if !ok || !w.sealed {
		return nil, errs.New(errs.InternalFault, "device", "the weights are of another device, or not sealed")
	}
	if err := check(p, w); err != nil {
		return nil, err
	}
	return &executable{device: d, program: p, weights: w}, nil
}

type executable struct {
	device  *Device
	program *device.Program
	weights *weights
}

// Close implements device.Executable; there is nothing to free.
func (e *executable) Close() {}

// run is one batch under way.
type run struct {
	*executable
	batch *device.Batch
	slots [][]float64 // by slot: [tokens, columns]
	place []int       // [tokens] position of a row in its text
}

var opNames = [...]string{"embed", "norm", "linear", "activate", "rotary", "attention"}

// ops interpret the steps.
var ops = [...]func(*run, *device.Step){
	device.OpEmbed:     (*run).embed,
	device.OpNorm:      (*run).norm,
	device.OpLinear:    (*run).linear,
	device.OpActivate:  (*run).activate,
	device.OpRotary:    (*run).rotary,
	device.OpAttention: (*run).attention,
}

// Run implements device.Executable. ERR_ARGUMENT for a batch that does not fit the program.
func (e *executable) Run(b *device.Batch) error {
	if err := e.checkBatch(b); err != nil {
		return err
	}
	tokens := len(b.IDs)
	columns := 0
	for _, s := range e.program.Slots {
		columns += s.Columns
	}
	region, err := e.device.ledger.Allocate(memory.Activations, int64(tokens)*int64(columns)*8)
	if err != nil {
		return err
	}
	defer region.Free()
	r := &run{executable: e, batch: b, place: make([]int, 0, tokens)}
	offset := int64(0)
	for _, s := range e.program.Slots {
		n := int64(tokens) * int64(s.Columns)
		r.slots = append(r.slots, memory.Slice[float64](region, offset, n))
		offset += 8 * n
	}
	for t := range b.Texts() {
		for i := range b.Offsets[t+1] - b.Offsets[t] {
			r.place = append(r.place, int(i))
		}
	}
	for i := range e.program.Steps {
		step := &e.program.Steps[i]
		ops[step.Op](r, step)
		if errs.GaveUp(b.Cancelled) {
			return errs.Cancelled("")
		}
	}
	r.pool()
	return nil
}

func (e *executable) checkBatch(b *device.Batch) error {
	bad := func(format string, args ...any) error {
		return errs.New(errs.ArgumentInvalid, "batch", format, args...)
	}
	if len(b.Offsets) == 0 || b.Offsets[0] != 0 || int(b.Offsets[b.Texts()]) != len(b.IDs) {
		return bad("offsets %v do not cover %d ids", b.Offsets, len(b.IDs))
	}
	for t := range b.Texts() {
		if n := int64(b.Offsets[t+1]) - int64(b.Offsets[t]); n < 1 || n > int64(e.program.MaxTokens) {
			return bad("text %d has %d tokens; 1 to %d were expected", t, n, e.program.MaxTokens)
		}
	}
	if int(b.Pooling) >= len(poolings) || poolings[b.Pooling] == nil {
		return bad("pooling %d makes no vector", b.Pooling)
	}
	if want := b.Texts() * e.program.HiddenSize; len(b.Out) != want {
		return bad("room for %d values; %d were expected", len(b.Out), want)
	}
	for _, s := range e.program.Steps {
		if s.Op != device.OpEmbed {
			continue
		}
		for _, id := range b.IDs {
			if rows := e.weights.specs[s.Weight].Shape[0]; int64(id) >= rows {
				return bad("token id %d; the table has %d rows", id, rows)
			}
		}
	}
	return nil
}

// row is one row of a slot.
func (r *run) row(id device.SlotID, token int) []float64 {
	n := r.program.Slots[id].Columns
	return r.slots[id][token*n:][:n]
}

// tensor is a tensor's row; of a vector the vector.
func (r *run) tensor(id device.TensorID, row int) []float32 {
	n := int(r.weights.specs[id].Shape.Columns())
	return r.weights.values[id][row*n:][:n]
}

func (r *run) embed(s *device.Step) {
	for i, id := range r.batch.IDs {
		out := r.row(s.Out, i)[:r.program.HiddenSize]
		clear(out)
		addTo(out, r.tensor(s.Weight, int(id)))
		if s.Positions != device.NoTensor {
			addTo(out, r.tensor(s.Positions, r.place[i]))
		}
		if s.Types != device.NoTensor {
			addTo(out, r.tensor(s.Types, 0))
		}
	}
}

func addTo(dst []float64, src []float32) {
	for i, v := range src {
		dst[i] += float64(v)
	}
}

func (r *run) norm(s *device.Step) {
	n := r.program.Slots[s.In].Columns
	x := make([]float64, n)
	weight := r.tensor(s.Weight, 0)
	for i := range r.batch.IDs {
		copy(x, r.row(s.In, i))
		if s.Add != device.NoSlot {
			for j, v := range r.row(s.Add, i)[:n] {
				x[j] += v
			}
		}
		mean, variance := 0.0, 0.0
		for _, v := range x {
			mean += v / float64(n)
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(n)
		}
		out := r.row(s.Out, i)
		for j, v := range x {
			out[j] = (v - mean) / math.Sqrt(variance+float64(s.Epsilon)) * float64(weight[j])
		}
		if s.Bias != device.NoTensor {
			addTo(out, r.tensor(s.Bias, 0))
		}
	}
}

func (r *run) linear(s *device.Step) {
	shape := r.weights.specs[s.Weight].Shape
	weight := make([]float64, shape[1])
	for output := range int(shape[0]) {
		bias := 0.0
		if s.Bias != device.NoTensor {
			bias = float64(r.tensor(s.Bias, 0)[output])
		}
		for j, v := range r.tensor(s.Weight, output) {
			weight[j] = float64(v)
		}
		for i := range r.batch.IDs {
			r.row(s.Out, i)[s.Column+output] = dot(weight, r.row(s.In, i)) + bias
		}
	}
}

// dot multiplies len(a) values.
func dot(a, b []float64) (sum float64) {
	b = b[:len(a)]
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// gelu is x·Φ(x) (Hendrycks and Gimpel, arXiv 1606.08415), not its tanh approximation.
func gelu(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }

// silu is x·σ(x).
func silu(x float64) float64 { return x / (1 + math.Exp(-x)) }

// activations by device.Activation; the gated ones' function of their first half.
var activations = [...]func(float64) float64{device.GELU: gelu, device.GatedSiLU: silu, device.GatedGELU: gelu}

func (r *run) activate(s *device.Step) {
	f := activations[s.Activation]
	for i := range r.batch.IDs {
		in, out := r.row(s.In, i), r.row(s.Out, i)
		for j := range s.Columns {
			v := f(in[j])
			if s.Activation.Gated() {
				v *= in[j+s.Columns]
			}
			out[j] = v
		}
	}
}

// rotary turns the pairs (j, j + half) of each head (RoFormer, arXiv 2104.09864, in GPT-NeoX's order).
func (r *run) rotary(s *device.Step) {
	half := s.HeadSize / 2
	for i := range r.batch.IDs {
		angles := r.program.Tables.Rotary[r.place[i]*half*2:]
		for h := range s.Heads {
			head := r.row(s.In, i)[s.Column+h*s.HeadSize:]
			for j := range half {
				cos, sin := float64(angles[2*j]), float64(angles[2*j+1])
				p, q := head[j], head[j+half]
				head[j], head[j+half] = p*cos-q*sin, q*cos+p*sin
			}
		}
	}
}

func (r *run) attention(s *device.Step) {
	weights := make([]float64, r.program.MaxTokens)
	for t := range r.batch.Texts() {
		first, end := int(r.batch.Offsets[t]), int(r.batch.Offsets[t+1])
		for h := range s.Heads {
			for i := first; i < end; i++ {
				r.attend(s, h, i, first, weights[:end-first])
			}
		}
	}
}

// attend computes one row's head: softmax over the text's keys, then the sum of its values.
func (r *run) attend(s *device.Step, head, row, first int, weights []float64) {
	n, column := s.Heads*s.HeadSize, head*s.HeadSize
	query := r.row(s.In, row)[column:][:s.HeadSize]
	largest := math.Inf(-1)
	for k := range weights {
		weights[k] = float64(s.Scale) * dot(query, r.row(s.In, first+k)[n+column:])
		largest = max(largest, weights[k])
	}
	sum := 0.0
	for k, v := range weights {
		weights[k] = math.Exp(v - largest)
		sum += weights[k]
	}
	out := r.row(s.Out, row)[column:][:s.HeadSize]
	clear(out)
	for k, w := range weights {
		for j, v := range r.row(s.In, first+k)[2*n+column:][:s.HeadSize] {
			out[j] += w / sum * v
		}
	}
}

// poolings say how much each of a text's n tokens counts; nil makes no vector.
var poolings = [...]func(token, n int) float64{
	device.PoolNone: nil,
	device.PoolMean: func(_, n int) float64 { return 1 / float64(n) },
	device.PoolCLS:  func(token, _ int) float64 { return oneIf(token == 0) },
	device.PoolLast: func(token, n int) float64 { return oneIf(token == n-1) },
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (r *run) pool() {
	h := r.program.HiddenSize
	for t := range r.batch.Texts() {
		first, n := int(r.batch.Offsets[t]), int(r.batch.Offsets[t+1]-r.batch.Offsets[t])
		for j := range h {
			sum := 0.0
			for i := range n {
				if share := poolings[r.batch.Pooling](i, n); share != 0 {
					sum += share * r.row(r.program.Result, first+i)[j]
				}
			}
			r.batch.Out[t*h+j] = float32(sum)
		}
	}
}
