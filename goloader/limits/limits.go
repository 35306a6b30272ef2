// Package limits holds the caps on what a file or a caller may ask for, and the sizes of the buffers that it goes through,
// each with its unit and its reason. A format's numbers and a loop's tuning stand where they are used.
package limits

// Streaming.
const (
	// ChunkBytes is the most that one read of tensor data takes from the file.
	ChunkBytes = 65536
	// RingChunks: chunks read or packed at a time. With 1, 2, 4, 8 and 12 of them 146 MB loaded in 124, 108, 92, 91 and 85 ms.
	RingChunks = 4
	// DecodeElements is the size of the reused decode buffer in float32 (64 KiB).
	DecodeElements = 16384
	// WorkingBytes is the most a load may use for chunk, decode and staging together.
	WorkingBytes = 1 << 20
	// HeapAllocationBytes is the largest single heap allocation that MemoryGuard lets through.
	HeapAllocationBytes = 10485760
	// DefaultBudgetBytes is MemoryMonitor.forNodejs()'s budget: what a Node process can spare by default.
	DefaultBudgetBytes = 2 << 30
)

// GGUF header. Real models stay far below; see the numbers beside each.
const (
	// MetadataPairs: real files have under 100. The index of so many takes 40 MB, 60 while it grows.
	MetadataPairs = 1 << 20
	// Tensors of all parts: the largest mixture-of-experts models have a few thousand.
	Tensors = 1 << 16
	// HeaderBytes: everything before the data, of all parts; vocabularies of 262,144 tokens with merges take 20 MB. It bounds
	// the time a header can cost: a sparse file holds terabytes of it for nothing.
	HeaderBytes = 128 << 20
	// KeyBytes is the format's own convention.
	KeyBytes = 1<<16 - 1
	// KeptStringBytes: strings that are copied into memory (names, descriptions); longer ones are refused when asked for.
	// As JSON control characters are six times as long, and the copies on the way are many: 1 MiB of them took 25 MB.
	KeptStringBytes = 1 << 18
	// ArrayElements: 262,144 tokens and about 515,000 merges are real.
	ArrayElements = 1 << 24
	// ArrayDepth: no real file nests arrays at all.
	ArrayDepth = 4
	// TensorNameBytes is ggml's GGML_MAX_NAME less the terminator.
	TensorNameBytes = 63
	// TensorDims is ggml's GGML_MAX_DIMS.
	TensorDims = 4
	// TensorDim: each dimension is below this, so that products of two fit int64 with room.
	TensorDim = 1 << 31
	// AlignmentBytes: 32 is the default, 4,096 has been seen.
	AlignmentBytes = 1 << 20
	// SplitParts: five digits in the name, but nobody splits an embedding model into more.
	SplitParts = 1024
)

// Models.
const (
	// Layers: the deepest published encoders have under 100.
	Layers = 512
	// HiddenSize: the widest embedding models have 4,096.
	HiddenSize = 1 << 16
	// ContextTokens: the longest embedding context is 131,072. It bounds the rotary tables.
	ContextTokens = 1 << 17
	// VocabularyTokens: 262,144 is real.
	VocabularyTokens = 1 << 22
	// TokenBytes: the longest real WordPiece token is below 64 bytes.
	TokenBytes = 4096
	// SpecialTokens of a vocabulary: Gemma has about 6,500.
	SpecialTokens = 1 << 16
	// SpecialTokenBytes: the longest real special token is below 64 bytes.
	SpecialTokenBytes = 256
	// WordCharacters is Hugging Face's max_input_chars_per_word for WordPiece.
	WordCharacters = 100
)

// Calls.
const (
	// MaxTextBytes is the default for one text.
	MaxTextBytes = 1 << 20
	// BatchTokens is the default token budget of one batch: activations stay within 32 MB.
	BatchTokens = 1024
	// DiskJobs is how many loads and reads may be under way at once. Each blocks a thread, and Go ends the process
	// when the system gives it none; the disk is no faster with more.
	DiskJobs = 4
	// MaxQueuedTexts is the default bound of a model's queue.
	MaxQueuedTexts = 1 << 16
	// ActiveRequests have a window of tokenised texts each: 64 of 16,384 ids are 4 MiB of the Go heap.
	ActiveRequests = 64
	// WindowTokens: so many tokens of a request are tokenised ahead; 16 batches, among which lengths are sorted.
	WindowTokens = 16 * BatchTokens
	// KeptWindows wait for the next requests.
	KeptWindows = 4
	// PageEntries: pairs, elements or tensor infos of one reply, whatever the caller asks for.
	PageEntries = 4096
	// PageBytes of strings end a reply; one entry always fits.
	PageBytes = 1 << 18
	// MeasureMs is the longest that one shape may be measured at least.
	MeasureMs = 10_000
)
