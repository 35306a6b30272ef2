package errs

// Kind says whose fault an error is and what a program can do about it.
type Kind string

// The kinds, as JavaScript sees them in GgufError.kind.
const (
	Format      Kind = "format"      // the file is wrong
	Unsupported Kind = "unsupported" // valid, but not ours
	Limit       Kind = "limit"       // a cap or the memory budget
	Argument    Kind = "argument"    // the caller's input
	State       Kind = "state"       // closed, aborted, busy
	IO          Kind = "io"          // the operating system
	Internal    Kind = "internal"    // ours: report it
)

// Code is stable for ever and never reused.
type Code string

// The codes. Table holds what each means.
const (
	GGUFMagic          Code = "ERR_GGUF_MAGIC"
	GGUFVersion        Code = "ERR_GGUF_VERSION"
	GGUFTruncated      Code = "ERR_GGUF_TRUNCATED"
	GGUFMetadata       Code = "ERR_GGUF_METADATA"
	GGUFTensor         Code = "ERR_GGUF_TENSOR"
	GGUFDuplicate      Code = "ERR_GGUF_DUPLICATE"
	GGUFAlignment      Code = "ERR_GGUF_ALIGNMENT"
	GGUFSplit          Code = "ERR_GGUF_SPLIT"
	GGUFNonFinite      Code = "ERR_GGUF_NONFINITE"
	GGUFLimit          Code = "ERR_GGUF_LIMIT"
	TensorType         Code = "ERR_TENSOR_TYPE"
	Architecture       Code = "ERR_ARCHITECTURE"
	ModelKey           Code = "ERR_MODEL_KEY"
	ModelTensor        Code = "ERR_MODEL_TENSOR"
	TokenizerKind      Code = "ERR_TOKENIZER_KIND"
	TokenizerVocab     Code = "ERR_TOKENIZER_VOCAB"
	MemoryLimit        Code = "ERR_MEMORY_LIMIT"
	MemoryGuard        Code = "ERR_MEMORY_GUARD"
	MemoryAllocation   Code = "ERR_MEMORY_ALLOCATION"
	HeapCritical       Code = "ERR_HEAP_CRITICAL"
	ArgumentInvalid    Code = "ERR_ARGUMENT"
	TooLong            Code = "ERR_TOO_LONG"
	Closed             Code = "ERR_CLOSED"
	Aborted            Code = "ERR_ABORTED"
	Busy               Code = "ERR_BUSY"
	FileOpen           Code = "ERR_FILE_OPEN"
	FileRead           Code = "ERR_FILE_READ"
	FileChanged        Code = "ERR_FILE_CHANGED"
	KernelSet          Code = "ERR_KERNEL_SET"
	NativeLoad         Code = "ERR_NATIVE_LOAD"
	ProcessDied        Code = "ERR_PROCESS_DIED"
	ModelName          Code = "ERR_MODEL_NAME"
	ModelAccess        Code = "ERR_MODEL_ACCESS"
	Download           Code = "ERR_DOWNLOAD"
	DownloadHash       Code = "ERR_DOWNLOAD_HASH"
	Offline            Code = "ERR_OFFLINE"
	PackageMissing     Code = "ERR_PACKAGE_MISSING"
	InternalFault      Code = "ERR_INTERNAL"
	DeviceTensorCount  Code = "ERR_DEVICE_TENSOR"
	DeviceUnavailable  Code = "ERR_DEVICE"
	GGUFTensorNotFound Code = "ERR_TENSOR_NOT_FOUND"
)

// Row of Table: one code, its kind, its meaning and the cure, as docs/errors.md prints them.
type Row struct {
	Code    Code
	Kind    Kind
	Meaning string
	Cure    string
}

// Table is the only list of codes. docs/errors.md and index.d.ts are checked against it.
var Table = []Row{
	{GGUFMagic, Format, "the file does not start with GGUF", "check that the path names a .gguf file and that the download is complete"},
	{GGUFVersion, Unsupported, "a GGUF version other than 1, 2 or 3", "convert the model with a current converter"},
	{GGUFTruncated, Format, "the file ends before what its header promises", "download the file again"},
	{GGUFMetadata, Format, "a metadata pair is malformed", "download or convert the file again"},
	{GGUFTensor, Format, "a tensor info is malformed or lies outside the file", "download or convert the file again"},
	{GGUFDuplicate, Format, "a key or a tensor name stands twice", "convert the file again"},
	{GGUFAlignment, Format, "the alignment is no power of two within bounds", "convert the file again"},
	{GGUFSplit, Format, "the parts of a split file do not belong together", "put all parts of one conversion into one folder and open the first"},
	{GGUFNonFinite, Format, "a weight, a scale or a vector is NaN or infinite", "convert the model again; its numbers are damaged"},
	{GGUFLimit, Limit, "a count or a length in the file is beyond every real model", "check where the file comes from"},
	{GGUFTensorNotFound, Argument, "no tensor of this name is in the file", "list the names with `gguf-stream inspect --json`"},
	{TensorType, Unsupported, "a tensor type that is not known here", "convert the model to a supported type"},
	{Architecture, Unsupported, "an architecture, or a variant of one, that is not known here", "see the README's list of architectures"},
	{ModelKey, Format, "a metadata key that the architecture needs is missing or impossible", "convert the model again"},
	{ModelTensor, Format, "a tensor that the architecture needs is missing or has another shape", "convert the model again"},
	{TokenizerKind, Unsupported, "a tokenizer that is not known here", "use a model with a WordPiece vocabulary"},
	{TokenizerVocab, Format, "the vocabulary contradicts itself", "convert the model again"},
	{MemoryLimit, Limit, "the model or the call needs more memory than the budget has", "raise memoryLimit, free memory, or use a smaller model or a smaller type"},
	{MemoryGuard, Limit, "one heap allocation over 10 MiB was refused", "embedMany of over 1.3 million texts: use `matrix: true` or embedStream; else report it"},
	{MemoryAllocation, Limit, "the operating system gave no memory", "free memory or raise the process's limits"},
	{HeapCritical, Limit, "V8's heap is nearly full", "release references, or start node with a larger --max-old-space-size"},
	{ArgumentInvalid, Argument, "an argument is not what the function takes", "see the message: it names the argument, what was expected and what came"},
	{TooLong, Argument, "a text has more tokens than the model takes, and truncate is false", "split the text, or allow truncation"},
	{Closed, State, "the embedder or the file is closed", "open it again"},
	{Aborted, State, "the call was cancelled", "none: it was asked for"},
	{Busy, State, "the queue is full", "wait for earlier calls, or use embedStream"},
	{FileOpen, IO, "the file cannot be opened", "check the path or the short name, and the permissions"},
	{FileRead, IO, "the file cannot be read", "check the disk"},
	{FileChanged, IO, "the file changed while it was read", "load it again when it is complete"},
	{KernelSet, Argument, "the forced kernel set is unknown or cannot run on this processor", "unset GGUF_STREAM_KERNELS or name one of those listed"},
	{NativeLoad, IO, "the native library cannot be loaded", "see the message: it lists what was tried"},
	{ProcessDied, IO, "the process that holds the core ended (isolation: 'process')", "call again: the next call starts another and loads the model again; open files anew"},
	{DeviceTensorCount, Internal, "a tensor got more or fewer elements than its shape has", "report it"},
	{DeviceUnavailable, Unsupported, "the device is not known here", "use 'auto' or 'cpu'"},
	{ModelName, Argument, "a model's name is malformed, or the hub has nothing or more than one file by it", "see the message: it shows the form, or lists the files"},
	{ModelAccess, IO, "the hub refuses access to the repository", "check its name; accept its terms on the hub and set HF_TOKEN"},
	{Download, IO, "the hub cannot be reached or read, or the cache not be written", "call again: the download goes on where it was cut"},
	{DownloadHash, IO, "the downloaded bytes are not those that the hub promised", "call again; if it stays so, look at the proxy or the mirror"},
	{Offline, IO, "the model is not in the cache, and HF_HUB_OFFLINE is set", "`gguf-stream pull` it while there is a network"},
	{PackageMissing, IO, "an optional package is needed that is not installed", "install the package that the message names"},
	{InternalFault, Internal, "a fault of this library", "report it with the message"},
}

var kinds = func() map[Code]Kind {
	m := make(map[Code]Kind, len(Table))
	for _, r := range Table {
		m[r.Code] = r.Kind
	}
	return m
}()
