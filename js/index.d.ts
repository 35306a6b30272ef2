/**
 * gguf-stream: text embeddings from GGUF models that are streamed off the V8 heap.
 *
 * Every failure but an aborted signal is a {@link GgufError}; an aborted signal rejects with its reason.
 */

/** What went wrong; stable for ever. docs/errors.md lists meaning and cure of each. */
export type ErrorCode =
  | 'ERR_GGUF_MAGIC' | 'ERR_GGUF_VERSION' | 'ERR_GGUF_TRUNCATED' | 'ERR_GGUF_METADATA' | 'ERR_GGUF_TENSOR'
  | 'ERR_GGUF_DUPLICATE' | 'ERR_GGUF_ALIGNMENT' | 'ERR_GGUF_SPLIT' | 'ERR_GGUF_NONFINITE' | 'ERR_GGUF_LIMIT'
  | 'ERR_TENSOR_NOT_FOUND' | 'ERR_TENSOR_TYPE' | 'ERR_ARCHITECTURE' | 'ERR_MODEL_KEY' | 'ERR_MODEL_TENSOR'
  | 'ERR_TOKENIZER_KIND' | 'ERR_TOKENIZER_VOCAB' | 'ERR_MEMORY_LIMIT' | 'ERR_MEMORY_GUARD' | 'ERR_MEMORY_ALLOCATION'
  | 'ERR_HEAP_CRITICAL' | 'ERR_ARGUMENT' | 'ERR_TOO_LONG' | 'ERR_CLOSED' | 'ERR_ABORTED' | 'ERR_BUSY'
  | 'ERR_FILE_OPEN' | 'ERR_FILE_READ' | 'ERR_FILE_CHANGED' | 'ERR_KERNEL_SET' | 'ERR_NATIVE_LOAD' | 'ERR_PROCESS_DIED'
  | 'ERR_MODEL_NAME' | 'ERR_MODEL_ACCESS' | 'ERR_DOWNLOAD' | 'ERR_DOWNLOAD_HASH' | 'ERR_OFFLINE' | 'ERR_PACKAGE_MISSING'
  | 'ERR_DEVICE_TENSOR' | 'ERR_DEVICE' | 'ERR_INTERNAL';

/** Whose fault: the file's, ours to support, a limit, the caller's, the state's, the system's, or a bug of ours. */
export type ErrorKind = 'format' | 'unsupported' | 'limit' | 'argument' | 'state' | 'io' | 'internal';

export class GgufError extends Error {
  readonly name: string;
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  /** The metadata key, tensor or option it concerns. */
  readonly field: string | undefined;
  /** The absolute byte in the file. */
  readonly offset: number | undefined;
  constructor(e: { code: string; kind: string; message: string; field?: string; offset?: number; cause?: unknown });
}

/** Options that a call may have and {@link loadEmbedder} may set as defaults. */
export interface TextOptions {
  /** Adds the model's prefix for the task ('query', 'document', …) where the model has one. */
  task?: string;
  /** Put in front of every text instead of the task's prefix. */
  prefix?: string;
  /** Cut to so many values (Matryoshka models), then normalise again. Default: all. */
  dimensions?: number;
  /** L2 norm 1. Default true. */
  normalize?: boolean;
  /** Cut texts over the model's limit, the end token kept. With false they reject with ERR_TOO_LONG. Default true. */
  truncate?: boolean;
  /** "[SEP]" and the like in a text become special tokens, as in Hugging Face. Turn it off for untrusted text. Default true. */
  parseSpecial?: boolean;
  /**
   * At most so many tokens of a text, special ones included. Default: the model's own limit. The bundled MiniLM's file says 512,
   * while sentence-transformers cuts it at 256.
   */
  maxTokens?: number;
}

export interface LoadOptions extends TextOptions {
  /**
   * Path or file: URL (also as a string, as import.meta.resolve gives it) of a .gguf file (the first part of a split one), or a name on the Hugging Face hub: 'hf:owner/repo[@revision][:file-or-quant]'
   * or a short name as 'nomic-embed-text-v1.5[:Q4_K_M]', Q8_0 if no quant is named. It is downloaded once into the Hugging Face cache
   * (by the package @huggingface/hub, which you install) and then used without a question to the hub; `gguf-stream pull` asks anew.
   * Default: the bundled all-MiniLM-L6-v2 Q8_0.
   */
  model?: string | URL;
  /** 'exact' (default): 1 − cosine ≤ 1e-6 to the model's float64 forward pass; 'fast': ≤ 1e-3, single words up to 1.4e-3; docs/embed.md says where it is faster. */
  precision?: 'exact' | 'fast';
  /** Most threads of a call. Default: the usable cores. */
  threads?: number;
  /** Where the model runs. 'auto' (default) is 'cpu': there is no other yet. */
  device?: 'auto' | 'cpu';
  /**
   * 'process': the core runs in a child process (one a thread of JavaScript's), started by the first call. The same vectors; a
   * call costs a trip through pipes, and weights are shared only within that process. When it dies, calls under way reject with
   * ERR_PROCESS_DIED and the next one starts another. 'auto' (default): in this process where the addon can be loaded; in a
   * child on musl (Alpine), and under --permission without --allow-addons.
   */
  isolation?: 'auto' | 'process';
  /** Budget in bytes. Default 2 GiB, less where the container or the machine has less. */
  memoryLimit?: number;
  /** Overrides the file's pooling. */
  pooling?: 'mean' | 'cls' | 'last';
  /** Longest text in bytes of UTF-8. Default 1 MiB. */
  maxTextBytes?: number;
  /** Texts that may wait; more, or more than 134,217,728 characters of them, reject with ERR_BUSY. Default, and at most, 65,536: all users of a model's weights share its queue. */
  maxQueuedTexts?: number;
  /** Aborts the load. */
  signal?: AbortSignal;
  /** What it throws, as what a listener of 'progress' throws, ends the load, whose calls reject with it. Of weights that are loaded already nothing is reported. */
  onProgress?: (progress: LoadProgress) => void;
}

export interface LoadProgress {
  /** 'download' of a model that is not in the cache, then 'load'. */
  phase: 'download' | 'load';
  loadedBytes: number;
  totalBytes: number;
  /** The tensor under way, while the phase is 'load'. */
  tensor?: string;
}

/**
 * The numbers of a vector, as quantize_embeddings of sentence-transformers defines them. 'float32' (default): a Float32Array.
 * 'int8': an Int8Array, by `ranges` if given, else rounded to the vector's own scale (greatest magnitude = 127), which cosine
 * does not see. 'uint8': a Uint8Array by `ranges`. 'ubinary': a Uint8Array of one bit a dimension, set where the value is
 * positive; 'binary': the same bytes less 128, an Int8Array.
 */
export type VectorOutput = 'float32' | 'int8' | 'uint8' | 'binary' | 'ubinary';

/** Arrays over an ArrayBuffer, which may be transferred; TypeScript before 5.7 has no name for that. */
type Floats = ReturnType<Float32ArrayConstructor['from']>;
type SignedBytes = ReturnType<Int8ArrayConstructor['from']>;
type Bytes = ReturnType<Uint8ArrayConstructor['from']>;

/** What each {@link VectorOutput} comes as. */
export interface VectorTypes {
  float32: Floats;
  int8: SignedBytes;
  uint8: Bytes;
  binary: SignedBytes;
  ubinary: Bytes;
}

/** What a vector of embedMany comes as. */
export interface ManyTypes extends VectorTypes {
  vectors: Floats;
}

export interface CallOptions extends TextOptions {
  /** The numbers of the vectors. Default 'float32'. */
  output?: VectorOutput;
  /** For int8 and uint8: each dimension's minimum, then each one's maximum, as {@link calibrate} makes them. */
  ranges?: Float32Array;
  /** Which bit of a byte the first of its dimensions is, for binary and ubinary: 'msb' (default) as numpy and pgvector, 'lsb' as sqlite-vec. */
  bitOrder?: 'msb' | 'lsb';
  /** Give {@link Details} instead of bare vectors. */
  details?: boolean;
  /** Ends the call, which rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface EmbedManyOptions extends Omit<CallOptions, 'output'> {
  /** The numbers of the vectors. 'vectors' is 'float32' (default); 'matrix' is 'float32' with `matrix: true`. */
  output?: VectorOutput | 'vectors' | 'matrix';
  /**
   * All vectors in one typed array, row after row. Default false. On the main thread one of 64 KiB or more lies in the core's memory,
   * which cannot be transferred to another thread: post a copy, as `matrix.slice()` is.
   */
  matrix?: boolean;
}

/** As in {@link TextOptions}; maxTokens is not taken over from {@link loadEmbedder}. */
export interface TokenizeOptions {
  parseSpecial?: boolean;
  task?: string;
  prefix?: string;
  maxTokens?: number;
  signal?: AbortSignal;
}

export interface Details<V = Float32Array> {
  vector: V;
  /** Tokens of the text as embedded, special ones included. */
  tokens: number;
  /** Tokens that were cut off. */
  truncated: number;
  /** With output 'int8' and no ranges: value = code × scale. */
  scale?: number;
}

/** What is known of a loaded model. Sizes are bytes: of the file, of its tensors in it, and of the weights in memory. */
export interface ModelInfo {
  readonly architecture: string;
  readonly name: string;
  readonly path: string;
  readonly fileBytes: number;
  readonly tensorBytes: number;
  readonly weightBytes: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForwardSize: number;
  readonly contextLength: number;
  /** Tokens of a text above which it is cut. */
  readonly maxTokens: number;
  readonly vocabularySize: number;
  readonly parameters: number;
  readonly pooling: 'mean' | 'cls' | 'last';
  readonly precision: 'exact' | 'fast';
  readonly device: string;
  readonly kernels: string;
  /** The model's name among those whose prefixes and dimensions are known here; '' if it is none of them. */
  readonly family: string;
  /** What the option `task` puts in front of a text, by task. */
  readonly prefixes: Readonly<Record<string, string>>;
  /** Sizes of vectors that the model was trained for (Matryoshka), for the option `dimensions`; none if it was not. */
  readonly dimensions: readonly number[];
  /** Bytes in the file by tensor type. */
  readonly tensorTypes: Readonly<Record<string, number>>;
  /** The weights were already loaded by someone else in this process. */
  readonly shared: boolean;
}

export interface MemoryReport {
  /** Off-heap bytes by purpose. */
  purposes: { weights: number; activations: number; staging: number; vocab: number; index: number; output: number };
  total: number;
  /** Live pieces of off-heap memory. */
  regions: number;
  /** Bytes that are granted at most, where {@link LoadOptions.memoryLimit} does not say otherwise. */
  budget: number;
  /** Bytes granted now. */
  reserved: number;
  /** Bytes of the core's own heap as of the last load. */
  goHeap: number;
  /** Peak working bytes of the last load (chunk + decode + staging). */
  working: number;
  /** Both generations of V8's heap, as v8.getHeapStatistics has them; the limit that counts is {@link HeapReport}'s. */
  v8: { used: number; limit: number };
}

/** Bytes of V8's old generation, which --max-old-space-size limits; used is with the young one's where it may have to take those. */
export interface HeapReport {
  used: number;
  limit: number;
}

/** A model's handle: nothing is loaded before the first use, concurrent callers share one load. */
export class Embedder {
  private constructor();
  /** Loads now. A failed load may be tried again. */
  ready(): Promise<this>;
  /** The vector of a text. '' is a text, too. */
  embed<O extends VectorOutput = 'float32'>(text: string, options: CallOptions & { output?: O; details: true }): Promise<Details<VectorTypes[O]>>;
  embed<O extends VectorOutput = 'float32'>(text: string, options?: CallOptions & { output?: O; details?: false }): Promise<VectorTypes[O]>;
  embed<O extends VectorOutput = 'float32'>(
    text: string,
    options: CallOptions & { output?: O },
  ): Promise<VectorTypes[O] | Details<VectorTypes[O]>>;
  /**
   * The vectors of texts, in their order; how many there are does not matter, batches are made inside. The list is copied first, but one
   * of over 1,310,720 texts: as a matrix it is read as it is embedded, so leave it as it is until then; as vectors it is ERR_MEMORY_GUARD.
   */
  embedMany(texts: readonly string[], options: EmbedManyOptions & { output: 'matrix' }): Promise<Floats>;
  embedMany<O extends keyof ManyTypes = 'float32'>(
    texts: readonly string[],
    options: EmbedManyOptions & { output?: O; matrix: true },
  ): Promise<ManyTypes[O]>;
  embedMany<O extends keyof ManyTypes = 'float32'>(
    texts: readonly string[],
    options: EmbedManyOptions & { output?: O; matrix?: false; details: true },
  ): Promise<Details<ManyTypes[O]>[]>;
  embedMany<O extends keyof ManyTypes = 'float32'>(
    texts: readonly string[],
    options?: EmbedManyOptions & { output?: O; matrix?: false; details?: false },
  ): Promise<ManyTypes[O][]>;
  embedMany(
    texts: readonly string[],
    options: EmbedManyOptions,
  ): Promise<VectorTypes[VectorOutput] | VectorTypes[VectorOutput][] | Details<VectorTypes[VectorOutput]>[]>;
  /** Vectors in the order of the texts, in bounded memory; reads on only as vectors are taken. */
  embedStream<O extends VectorOutput = 'float32'>(
    texts: Iterable<string> | AsyncIterable<string>,
    options: CallOptions & { output?: O; details: true },
  ): AsyncGenerator<Details<VectorTypes[O]>>;
  embedStream<O extends VectorOutput = 'float32'>(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: CallOptions & { output?: O; details?: false },
  ): AsyncGenerator<VectorTypes[O]>;
  embedStream<O extends VectorOutput = 'float32'>(
    texts: Iterable<string> | AsyncIterable<string>,
    options: CallOptions & { output?: O },
  ): AsyncGenerator<VectorTypes[O] | Details<VectorTypes[O]>>;
  /** Token ids of the text as it is embedded, prefix and special ones included, but not cut unless maxTokens says so. */
  tokenize(text: string, options?: TokenizeOptions): Promise<ReturnType<Uint32ArrayConstructor['from']>>;
  /** How many ids tokenize would give, without making them. */
  countTokens(text: string, options?: TokenizeOptions): Promise<number>;
  /** The cosine of two vectors, see {@link similarity}. */
  similarity(a: CosineVector, b: CosineVector): number;
  /** Undefined before the model is loaded. */
  readonly info: ModelInfo | undefined;
  /** The memory of the core that this embedder uses: of all its models, in this process or in its child. */
  memory(): MemoryReport;
  on(event: 'heap-safe' | 'heap-critical', listener: (report: HeapReport) => void): this;
  /** Listen before the first use, or right after it: of a load that is under way without a listener nothing is reported. */
  on(event: 'progress', listener: (progress: LoadProgress) => void): this;
  off(event: 'heap-safe' | 'heap-critical' | 'progress', listener: (...args: any[]) => void): this;
  once(event: 'heap-safe' | 'heap-critical', listener: (report: HeapReport) => void): this;
  once(event: 'progress', listener: (progress: LoadProgress) => void): this;
  /** Rejects what is queued with ERR_CLOSED and waits for what runs. Calling it again is harmless. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** An embedder; returns at once. A string is the model's path or name, a URL a file's. */
export function loadEmbedder(options?: string | URL | LoadOptions): Embedder;

/** Numbers whose cosine means something: not those of 'uint8', 'binary' and 'ubinary'. */
export type CosineVector = Float32Array | Float64Array | Int8Array;

/** The cosine of two vectors of one length; 0 when one of them is all zeros. */
export function similarity(a: CosineVector, b: CosineVector): number;

/** A float32 vector in other numbers, as the option `output` gives them. */
export function quantize<O extends VectorOutput>(
  vector: Float32Array,
  output: O,
  settings?: { ranges?: Float32Array; bitOrder?: 'msb' | 'lsb' },
): VectorTypes[O];

/** Ranges for int8 and uint8 from float32 vectors of typical texts; more than a hundred give good ones. */
export function calibrate(vectors: Iterable<Float32Array>): Float32Array;

/** u64 and i64 are bigints; arrays are views that read their elements when asked for. Strings over 256 KiB or of no UTF-8 are arrays of u8. */
export type MetadataValue = number | bigint | string | boolean | MetadataArray;

export interface MetadataArray extends AsyncIterable<any> {
  readonly elementType: string;
  readonly length: number;
  slice(start?: number, end?: number): Promise<any[]>;
}

/** What the header says. fileBytes and tensors of a split file are of all its parts. */
export interface GgufFileInfo {
  readonly path: string;
  readonly version: number;
  readonly bigEndian: boolean;
  readonly alignment: number;
  readonly fileBytes: number;
  readonly pairs: number;
  readonly tensors: number;
  readonly parts: number;
}

export interface TensorInfo {
  name: string;
  /** Outermost first. */
  shape: number[];
  type: string;
  /** Absolute byte in its part. */
  offset: number;
  bytes: number;
  part: number;
}

/** Bytes that loading a file as a model would take. */
export interface MemoryPlan {
  architecture: string;
  weights: number;
  staging: number;
  vocab: number;
  total: number;
  available: number;
  /** Whether the total is available now. */
  fits: boolean;
  /** In the file. */
  tensorBytes: number;
  /** Of tensorBytes, by tensor type. */
  types: Record<string, number>;
}

export interface TensorChunk {
  /** Whole blocks as they are in the file, at most 65,536 bytes. */
  data: Uint8Array;
  /** Absolute byte in the file. */
  offset: number;
  firstElement: number;
  elements: number;
}

/** An open GGUF file; iterating it gives [key, value] of its metadata. */
export class GgufFile implements AsyncIterable<[string, MetadataValue]> {
  private constructor();
  readonly info: GgufFileInfo;
  /** The value of a metadata key, undefined if the file has none. */
  get(key: string): Promise<MetadataValue | undefined>;
  [Symbol.asyncIterator](): AsyncIterator<[string, MetadataValue]>;
  /** All tensors, of all parts. */
  tensors(): Promise<TensorInfo[]>;
  /** What loading the file as a model would need, from the header alone. */
  plan(options?: { precision?: 'exact' | 'fast' }): Promise<MemoryPlan>;
  /** A tensor as the file has it, piece by piece. */
  chunks(name: string): AsyncGenerator<TensorChunk>;
  /** The tensor as float32, over memory outside V8's heap (see {@link EmbedManyOptions.matrix}). */
  load(name: string): Promise<Floats>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a .gguf file by its path, file: URL or name on the hub, as {@link LoadOptions.model}. The signal ends the opening, and later
 * all that is asked of the file; memoryLimit is the most bytes that load may take, 2 GiB if it is not given.
 */
export function openGguf(path: string | URL, options?: { signal?: AbortSignal; memoryLimit?: number }): Promise<GgufFile>;

/** Grants bytes against the process's budget, which it shares with the core. */
export class MemoryMonitor {
  constructor(limit: number);
  /** 2 GiB, less where the system has less. */
  static forNodejs(): MemoryMonitor;
  readonly available: number;
  canAllocate(bytes: number): boolean;
  /** Reserves bytes and returns what gives them back; throws ERR_MEMORY_LIMIT. */
  tryAllocate(bytes: number): () => void;
}

/** Refuses single allocations on V8's heap over 10 MiB with ERR_MEMORY_GUARD. */
export const MemoryGuard: { check(bytes: number): void };

/** The watch over V8's heap: 'heap-safe' above 70 % of the old generation's limit, 'heap-critical' and ERR_HEAP_CRITICAL above 90 %. */
export class CrashPrevention {
  /** Statistics of your own are taken as they are, in the place of the old generation's. */
  constructor(statistics?: () => { used_heap_size: number; heap_size_limit: number });
  check(): Promise<void> | undefined;
  on(event: 'heap-safe' | 'heap-critical', listener: (report: HeapReport) => void): this;
}

/** The memory of the core, and V8's heap. */
export function memoryReport(): MemoryReport;

/** The kernel sets of this processor, best first; GGUF_STREAM_KERNELS in the environment forces one. */
export function kernels(): { selected: string; available: string[]; missing: { name: string; needs: string[] }[] };

/** The package's. */
export const version: string;
