package device

// Program is an encoder's forward pass as data. Rows are tokens of all texts of a batch, one after
// another. Steps run in order; every step but Attention is row-local (row r of its output depends on
// row r of its inputs alone), so a device may take rows in slabs through a run of row-local steps.
type Program struct {
	HiddenSize int
	Slots      []Slot
	Steps      []Step
	Result     SlotID // [tokens, HiddenSize], pooled after the last step
	MaxTokens  int    // longest text
	Tables     Tables
}

// SlotID indexes Program.Slots.
type SlotID int

// NoSlot is an absent slot.
const NoSlot SlotID = -1

// TensorID indexes the TensorSpecs that the weights were made from.
type TensorID int

// NoTensor is an absent tensor.
const NoTensor TensorID = -1

// Slot is an activation buffer, [tokens, Columns] float32.
type Slot struct {
	Columns int
	// Kept slots live from step to step through attention; the others only inside one run of row-local
	// steps, so that a device needs them for one slab of rows at a time.
	Kept bool
}

// Op is what a step does.
type Op uint8

// The steps of encoders. In, Add and Out are slots; Out may be In unless said.
const (
	// OpEmbed: Out[r] = Weight[id(r)] (+ Positions[position of r in its text]) (+ Types[0]).
	OpEmbed Op = iota
	// OpNorm: x = In[r] (+ Add[r]); Out[r] = (x − mean)/sqrt(variance + Epsilon) · Weight + Bias
	// (population variance, two passes).
	OpNorm
	// OpLinear: Out[r][Column : Column+n] = In[r][:k] · Weightᵀ (+ Bias); Weight is [n, k], k at most the
	// columns of In. Out is not In.
	OpLinear
	// OpActivate: Out[r][j] = f(In[r][j]) for the plain kinds; for the gated kinds
	// Out[r][j] = f(In[r][j]) · In[r][j+Columns], j < Columns. Out may be In.
	OpActivate
	// OpRotary: rotates Heads heads of HeadSize columns from Column on, in place, by the angles of
	// Tables.Rotary at the row's position; pairs (j, j + HeadSize/2).
	OpRotary
	// OpAttention: per text and head h: softmax(Scale · q·kᵀ) · v over the text's own rows. q, k, v stand in
	// In at columns 0, Heads·HeadSize and 2·Heads·HeadSize; Out[r][h·HeadSize:] (Out is not In).
	OpAttention
)

// Activation is the function of OpActivate.
type Activation uint8

// The activations. GELU is the exact one, x·Φ(x).
const (
	GELU Activation = iota
	GatedSiLU
	GatedGELU
)

// Gated says whether the activation multiplies two halves of its input.
func (a Activation) Gated() bool { return a != GELU }

// Step is one operation. Fields that an Op does not name are zero or absent.
type Step struct {
	Op         Op
	In         SlotID
	Add        SlotID // OpNorm: residual to add first, or NoSlot
	Out        SlotID
	Column     int      // OpLinear: first output column; OpRotary: first column
	Columns    int      // OpActivate: output columns
	Weight     TensorID // matrix, lookup table or norm weight
	Bias       TensorID // or NoTensor
	Positions  TensorID // OpEmbed: lookup table, or NoTensor
	Types      TensorID // OpEmbed: lookup table whose row 0 is added, or NoTensor
	Activation Activation
	Epsilon    float32
	Heads      int
	HeadSize   int
	Scale      float32 // OpAttention
}

// Tables are constants a program needs besides the weights.
type Tables struct {
	// Rotary is [MaxTokens][HeadSize/2][2] float32: cos and sin of each position's angles; nil without OpRotary.
	// It lives off the heap and outlives the Executable.
	Rotary []float32
}
