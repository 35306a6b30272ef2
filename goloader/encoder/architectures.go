package encoder

import "gguf-stream/device"

// PositionKind is how an architecture tells a token where it stands.
type PositionKind uint8

// The position kinds.
const (
	LearnedPositions PositionKind = iota // a table added to the token's row
	RotaryPositions                      // queries and keys rotated (RoPE, halves paired)
)

// Architecture is one row of the table: what differs between encoders, as data that layout.go and
// forward.go interpret. Tensor names and keys are the format's own.
type Architecture struct {
	Name       string // general.architecture, and the prefix of its keys
	Positions  PositionKind
	Activation device.Activation
	Biases     bool           // linear layers must have biases; else they may
	Pooling    device.Pooling // when neither the file nor its family says
}

// architectures is the table. A new post-norm encoder is one row; reference: llama.cpp src/models/bert.cpp
// and the Hugging Face models named beside each row.
var architectures = []Architecture{
	{Name: "bert", Positions: LearnedPositions, Activation: device.GELU, Biases: true, Pooling: device.PoolMean},            // BertModel
	{Name: "nomic-bert", Positions: RotaryPositions, Activation: device.GatedSiLU, Biases: false, Pooling: device.PoolMean}, // NomicBertModel
}

// Architectures lists the names of the table, for messages and documents.
func Architectures() []string {
	names := make([]string, len(architectures))
	for i, a := range architectures {
		names[i] = a.Name
	}
	return names
}

func findArchitecture(name string) (*Architecture, bool) {
	for i := range architectures {
		if architectures[i].Name == name {
			return &architectures[i], true
		}
	}
	return nil, false
}
