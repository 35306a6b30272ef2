package reference

import (
	"gguf-stream/device"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/tensor"
)

// checker looks a program over once, so that the steps may index without asking. The first fault stays.
type checker struct {
	program *device.Program
	weights *weights
	step    int
	err     error
}

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		e := errs.New(errs.InternalFault, "program", format, args...)
		e.Message = "step " + opNames[c.program.Steps[c.step].Op] + ": " + e.Message
		c.err = e
	}
}

// slot wants a slot of at least so many columns.
func (c *checker) slot(id device.SlotID, columns int) {
	ok := id >= 0 && int(id) < len(c.program.Slots)
	c.want(ok && columns >= 0 && columns <= c.program.Slots[max(id, 0)].Columns, "slot %d has no %d columns", id, columns)
}

// width is a slot's columns, 0 for an absent one.
func (c *checker) width(id device.SlotID) int {
	if id < 0 || int(id) >= len(c.program.Slots) {
		return 0
	}
	return c.program.Slots[id].Columns
}

// shape is a tensor's, nil and a fault when it is absent or of another number of dimensions.
func (c *checker) shape(id device.TensorID, dims int) tensor.Shape {
	if id < 0 || int(id) >= len(c.weights.specs) || len(c.weights.specs[id].Shape) != dims {
		c.want(false, "tensor %d with %d dimensions was expected", id, dims)
		return make(tensor.Shape, dims)
	}
	return c.weights.specs[id].Shape
}

// vector wants a tensor [columns], or none where that is allowed.
func (c *checker) vector(id device.TensorID, columns int, optional bool) {
	if optional && id == device.NoTensor {
		return
	}
	n := c.shape(id, 1)[0]
	c.want(n == int64(columns), "vector %d has %d columns; %d were expected", id, n, columns)
}

// checks hold what each Op's documentation demands.
var checks = [...]func(*checker, *device.Step){
	device.OpEmbed:     checkEmbed,
	device.OpNorm:      checkNorm,
	device.OpLinear:    checkLinear,
	device.OpActivate:  checkActivate,
	device.OpRotary:    checkRotary,
	device.OpAttention: checkAttention,
}

func check(p *device.Program, w *weights) error {
	c := &checker{program: p, weights: w}
	for i := range p.Steps {
		c.step = i
		if int(p.Steps[i].Op) >= len(checks) {
			return errs.New(errs.InternalFault, "program", "step %d has the unknown op %d", i, p.Steps[i].Op)
		}
		checks[p.Steps[i].Op](c, &p.Steps[i])
	}
	if c.err == nil && c.width(p.Result) < max(p.HiddenSize, 1) {
		return errs.New(errs.InternalFault, "program", "the result slot %d has no %d columns", p.Result, p.HiddenSize)
	}
	return c.err
}

func checkEmbed(c *checker, s *device.Step) {
	h := c.program.HiddenSize
	c.slot(s.Out, h)
	for i, id := range []device.TensorID{s.Weight, s.Positions, s.Types} {
		if i > 0 && id == device.NoTensor {
			continue
		}
		table := c.shape(id, 2)
		c.want(table[1] == int64(h), "lookup table %d has rows of %d; %d were expected", id, table[1], h)
		c.want(i != 1 || table[0] >= int64(c.program.MaxTokens), "%d positions for %d tokens", table[0], c.program.MaxTokens)
	}
}

func checkNorm(c *checker, s *device.Step) {
	n := c.width(s.In)
	c.slot(s.In, n)
	c.slot(s.Out, n)
	if s.Add != device.NoSlot {
		c.slot(s.Add, n)
	}
	c.vector(s.Weight, n, false)
	c.vector(s.Bias, n, true)
}

func checkLinear(c *checker, s *device.Step) {
	shape := c.shape(s.Weight, 2)
	c.slot(s.In, int(shape[1]))
	c.slot(s.Out, s.Column+int(shape[0]))
	c.vector(s.Bias, int(shape[0]), true)
	c.want(s.Column >= 0 && s.Out != s.In, "Out is In, or the column %d is negative", s.Column)
}

func checkActivate(c *checker, s *device.Step) {
	columns := s.Columns
	if s.Activation.Gated() {
		columns *= 2
	}
	c.slot(s.In, columns)
	c.slot(s.Out, s.Columns)
	c.want(int(s.Activation) < len(activations), "activation %d is unknown", s.Activation)
}

func checkRotary(c *checker, s *device.Step) {
	c.slot(s.In, s.Column+s.Heads*s.HeadSize)
	c.want(s.Column >= 0 && s.HeadSize%2 == 0, "heads of %d from column %d", s.HeadSize, s.Column)
	want := c.program.MaxTokens * s.HeadSize
	c.want(len(c.program.Tables.Rotary) == want, "a rotary table of %d; %d were expected", len(c.program.Tables.Rotary), want)
}

func checkAttention(c *checker, s *device.Step) {
	n := s.Heads * s.HeadSize
	c.slot(s.In, 3*n)
	c.slot(s.Out, n)
	c.want(s.Out != s.In, "Out is In")
}
