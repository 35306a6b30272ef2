const { EventEmitter } = require('node:events');
const { setImmediate } = require('node:timers'); // as in slices.js
const { Kind } = require('./kinds');
const { call, closeTarget, closedWhenForgotten, isLost, native, processCore } = require('./native');
const { stoppedByThrow, unlessAborted } = require('./signals');
const { bundledModel } = require('./locate');
const { GgufError, argumentError, callerStack, closedError } = require('./errors');
const { CrashPrevention } = require('./heap');
const { MemoryGuard, reportOf } = require('./memory');
const { resolveModel } = require('./hub/resolve');
const limits = require('./limits');
const options = require('./options');
const { checkSettings, outputs, quantizeRows } = require('./quantize');
const { fitOneSlice, inSlices, mostQueued, unitsUnderWay } = require('./slices');
const { similarity } = require('./vectors');

/**
 * @import { CallOptions, CosineVector, EmbedManyOptions, LoadOptions, LoadProgress, ModelInfo, Details } from './index.js'
 * @import { Target } from './native'
 * @import { Numbers } from './quantize'
 * @import { Caller } from './errors'
 * @typedef {{ vectors: Numbers, scales?: number[], tokens?: number[], truncated?: number[] }} Slice
 * @typedef {string[] | Iterable<string> & { length: number }} Texts
 */

const mostQueuedUnits = 128 * 1024 * 1024; // UTF-16; the core holds a copy of each text that waits, up to three bytes a unit

const checkedTogether = 1 << 16; // texts: some milliseconds

const forgotten = closedWhenForgotten(Kind.close);

/** A model's users' handle: lazy, shared by concurrent callers. Made by loadEmbedder. */
class Embedder extends EventEmitter {
  /** @type {Record<string, any>} */
  #options;
  #callDefaults;
  #watch = new CrashPrevention();
  /** @type {Promise<this> | undefined} */
  #ready;
  /** @type {{ target?: Target }} */
  #state = {};
  /** @type {ModelInfo | undefined} */
  #info;
  #closed = false;
  #stop = new AbortController(); // ends a download or a load
  /** @type {Promise<void> | undefined} */
  #closing;
  #queued = 0;
  #queuedUnits = 0; // UTF-16

  /** @param {Record<string, any>} checked */
  constructor(checked) {
    super();
    this.#options = { maxTextBytes: limits.maxTextBytes, maxQueuedTexts: limits.maxQueuedTexts, ...checked };
    this.#callDefaults = Object.fromEntries(Object.keys(options.shared).flatMap((k) => (checked[k] === undefined ? [] : [[k, checked[k]]])));
    for (const event of ['heap-safe', 'heap-critical']) this.#watch.on(event, (report) => this.emit(event, report));
    forgotten.register(this, this.#state, this);
  }

  /** Loads the model now. Concurrent callers share one load; a failed one may be tried again. */
  async ready() {
    return this.#load(callerStack(this.ready));
  }

  /** @param {Caller} caller */
  #load(caller) {
    if (this.#closed) throw closedError('embedder');
    if (this.#state.target && isLost(this.#state.target)) this.#state.target = this.#ready = undefined;
    this.#ready ??= this.#open(caller).catch((e) => {
      this.#ready = undefined;
      throw e;
    });
    return this.#ready;
  }

  #core() {
    return this.#options.isolation === 'process' ? processCore() : native();
  }

  /**
   * The open model, loaded first where that has to be.
   * @param {AbortSignal | undefined} signal
   * @param {Caller} caller
   * @returns {Promise<Target>}
   */
  async #target(signal, caller) {
    const { target } = this.#state;
    signal?.throwIfAborted();
    if (!target || isLost(target)) await unlessAborted(this.#load(caller), signal);
    if (this.#closed) throw closedError('embedder');
    return /** @type {Target} */ (this.#state.target);
  }

  /** @param {Caller} caller */
  async #open(caller) {
    await this.#watch.check();
    const { model: named = bundledModel(), precision, threads, device, memoryLimit, pooling, maxTokens, signal, onProgress } = this.#options;
    const listeners = stoppedByThrow((/** @type {LoadProgress} */ p) => {
      onProgress?.(p);
      this.emit('progress', p);
    });
    const { report } = listeners;
    /** @param {number} loadedBytes @param {number} totalBytes @param {string} tensor */
    const progress = (loadedBytes, totalBytes, tensor) => report({ phase: 'load', loadedBytes, totalBytes, tensor });
    const stop = AbortSignal.any([this.#stop.signal, listeners.signal, ...(signal ? [signal] : [])]);
    const model = await resolveModel(named, { signal: stop, onProgress: report });
    const request = { path: model, precision, threads, device, memoryLimit, pooling, maxTokens };
    const heard = onProgress || this.listenerCount('progress') > 0; // as late as can be: reports that nobody hears take a sixth of a load's time
    const { reply, target } = await call(Kind.open, { core: this.#core(), request, signal: stop, progress: heard ? progress : undefined, caller });
    if (this.#closed) {
      await closeTarget(Kind.close, /** @type {Target} */ (target));
      throw closedError('embedder');
    }
    this.#state.target = target;
    this.#info = Object.freeze(reply.info);
    delete this.#options.signal; // it is this load's: another child loads again
    return this;
  }

  /** Checked options of a call over the embedder's defaults. @param {unknown} given @param {options.Table} table */
  #callOptions(given, table) {
    const o = { ...this.#callDefaults, ...options.check(given, table, 'options') };
    checkSettings(o.output, o);
    o.ranges &&= o.ranges.slice(); // as a list of texts: the caller may change or transfer theirs while we work
    if (o.prefix !== undefined) options.checkText(o.prefix, 'prefix', this.#options.maxTextBytes);
    return o;
  }

  /**
   * Throws when the queue is full; nothing was taken then.
   * @param {number} texts
   * @param {number} units UTF-16
   * @returns {() => void} to be called when they are answered
   */
  #enqueue(texts, units) {
    const { maxQueuedTexts } = this.#options;
    if (this.#queued > 0 && (this.#queued + texts > maxQueuedTexts || this.#queuedUnits + units > mostQueuedUnits)) {
      throw new GgufError({
        code: 'ERR_BUSY',
        kind: 'state',
        message: `${this.#queued} texts of ${this.#queuedUnits} characters are queued; at most ${maxQueuedTexts} (maxQueuedTexts) of ${mostQueuedUnits} may be`,
      });
    }
    this.#queued += texts;
    this.#queuedUnits += units;
    return () => {
      this.#queued -= texts;
      this.#queuedUnits -= units;
    };
  }

  /**
   * One job of texts.
   * @param {string[]} texts
   * @param {Record<string, any>} o
   * @param {Caller} caller
   * @returns {Promise<Slice>}
   */
  async #embedSlice(texts, o, caller) {
    const { signal, output, matrix: _, ranges, bitOrder, ...request } = o;
    const pause = this.#watch.check();
    if (pause) await pause; // not else: each await is a turn of the microtask queue
    const { target } = this.#state;
    const loaded = target && !this.#closed && !isLost(target) ? target : await this.#target(signal, caller);
    const done = await call(Kind.embed, { target: loaded, request, texts, signal, caller });
    const vectors = new Float32Array(/** @type {ArrayBuffer} */ (done.output));
    return { ...quantizeRows(vectors, texts.length, output, { ranges, bitOrder }), ...done.reply };
  }

  /**
   * @param {string} text
   * @param {CallOptions} [callOptions]
   * @returns {Promise<any>}
   */
  async embed(text, callOptions) {
    const caller = callerStack(this.embed);
    options.checkText(text, 'text', this.#options.maxTextBytes);
    const o = this.#callOptions(callOptions, options.callOptions);
    const answered = this.#enqueue(1, text.length);
    try {
      const slice = await this.#embedSlice([text], o, caller);
      return part(slice, slice.vectors, 0);
    } finally {
      answered();
    }
  }

  /**
   * @param {readonly string[]} texts
   * @param {EmbedManyOptions} [callOptions]
   * @returns {Promise<any>}
   */
  async embedMany(texts, callOptions) {
    const caller = callerStack(this.embedMany);
    if (!Array.isArray(texts)) throw argumentError('texts', 'an array of strings', texts);
    const o = this.#callOptions(callOptions, options.manyOptions);
    const matrix = o.matrix || o.output === 'matrix';
    if (o.details && matrix) throw argumentError('details', 'absent with a matrix', true);
    const copied = !matrix || texts.length * 8 <= limits.heapAllocationBytes;
    if (copied) MemoryGuard.check(texts.length * 8);
    if (texts.length > 0) options.checkText(texts[0], 'texts[0]', this.#options.maxTextBytes); // a list of holes is not worth its copy
    const copy = copied ? [...texts] : undefined; // the caller may change theirs while we work
    if (copy) options.checkTexts(copy, this.#options.maxTextBytes);
    const list = copy ?? inPlace(texts, this.#options.maxTextBytes);
    if (!copy) await checkInTurns(list);
    const queued = Math.min(list.length, mostQueued); // the rest waits in the caller's list, in nobody's way
    const answered = this.#enqueue(queued, unitsUnderWay(list));
    try {
      return matrix ? await this.#matrix(list, o, caller) : await this.#vectors(list, o, caller);
    } finally {
      answered();
    }
  }

  /** @param {Texts} list @param {Record<string, any>} o @param {Caller} caller */
  async #vectors(list, o, caller) {
    /** @type {(Numbers | Details<Numbers>)[]} */
    const out = [];
    for await (const slice of this.#slices(list, o, caller)) for (const v of each(slice)) out.push(v);
    return out;
  }

  /** One array over memory of the core's, filled slice by slice. @param {Texts} list @param {Record<string, any>} o @param {Caller} caller */
  async #matrix(list, o, caller) {
    const NumberArray = outputs[/** @type {keyof typeof outputs} */ (o.output)]?.array ?? Float32Array;
    if (list.length === 0) return new NumberArray(0);
    if (Array.isArray(list) && fitOneSlice(list)) return (await this.#embedSlice(list, { ...o, first: 0 }, caller)).vectors;
    /** @type {Numbers | undefined} */
    let matrix;
    let at = 0;
    for await (const { vectors, count } of this.#slices(list, o, caller)) {
      const bytes = (vectors.byteLength / count) * list.length;
      const made = matrix ? undefined : await call(Kind.output, { core: this.#core(), request: { bytes, memoryLimit: this.#options.memoryLimit }, caller });
      matrix ??= new NumberArray(/** @type {ArrayBuffer} */ (made?.output));
      matrix.set(vectors, at);
      at += vectors.length;
    }
    return matrix;
  }

  /**
   * The texts' vectors slice by slice, in order, with a few slices under way.
   * @param {Iterable<string> | AsyncIterable<string>} texts
   * @param {Record<string, any>} o
   * @param {Caller} caller
   */
  #slices(texts, o, caller) {
    let taken = 0;
    return inSlices(texts, o.signal, async (slice, signal) => {
      const first = taken; // so that an error names the text
      taken += slice.length;
      return { ...(await this.#embedSlice(slice, { ...o, signal, first }, caller)), count: slice.length };
    });
  }

  /**
   * @param {Iterable<string> | AsyncIterable<string>} texts
   * @param {CallOptions} [callOptions]
   * @returns {AsyncGenerator<any>}
   */
  embedStream(texts, callOptions) {
    const source = /** @type {any} */ (texts);
    if (typeof texts === 'string' || (typeof source?.[Symbol.asyncIterator] !== 'function' && typeof source?.[Symbol.iterator] !== 'function'))
      throw argumentError('texts', 'an iterable of strings', texts);
    const o = this.#callOptions(callOptions, options.callOptions);
    return this.#stream(texts, o, callerStack(this.embedStream));
  }

  /** @param {Iterable<string> | AsyncIterable<string>} texts @param {Record<string, any>} o @param {Caller} caller */
  async *#stream(texts, o, caller) {
    const limit = this.#options.maxTextBytes;
    async function* checked() {
      let i = 0;
      for await (const t of texts) {
        options.checkText(t, `texts[${i++}]`, limit);
        yield t;
      }
    }
    for await (const slice of this.#slices(checked(), o, caller)) yield* each(slice);
  }

  /** @param {Caller} caller @param {string} text @param {object} [given] @param {boolean} [count] */
  async #tokenize(caller, text, given, count) {
    options.checkText(text, 'text', this.#options.maxTextBytes);
    const { maxTokens: _, ...defaults } = options.pick(this.#callDefaults, options.tokenizeOptions);
    const { signal, ...request } = { ...defaults, ...options.check(given, options.tokenizeOptions, 'options') };
    if (request.prefix !== undefined) options.checkText(request.prefix, 'prefix', this.#options.maxTextBytes);
    await this.#watch.check();
    return call(Kind.tokenize, { target: await this.#target(signal, caller), texts: [text], request: { ...request, count }, signal, caller });
  }

  /** @param {string} text @param {object} [o] */
  async tokenize(text, o) {
    const { output } = await this.#tokenize(callerStack(this.tokenize), text, o);
    return new Uint32Array(/** @type {ArrayBuffer} */ (output));
  }

  /** @param {string} text @param {object} [o] */
  async countTokens(text, o) {
    const { reply } = await this.#tokenize(callerStack(this.countTokens), text, o, true);
    return /** @type {number} */ (reply.counts[0]);
  }

  /** @param {CosineVector} a @param {CosineVector} b */
  similarity(a, b) {
    return similarity(a, b);
  }

  get info() {
    return this.#info;
  }

  memory() {
    return reportOf(this.#core());
  }

  /** Rejects what is queued with ERR_CLOSED and waits for what runs. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    this.#closed = true;
    this.#stop.abort(closedError('embedder'));
    forgotten.unregister(this);
    await this.#ready?.catch(() => {});
    const { target } = this.#state;
    this.#state.target = undefined;
    if (target) await closeTarget(Kind.close, target);
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }
}

/** A list of which even the copy is too large for V8's heap: its texts as they are taken. @param {readonly string[]} texts @param {number} maxBytes */
function inPlace(texts, maxBytes) {
  const { length } = texts;
  function* each() {
    for (let i = 0; i < length; i++) {
      const text = texts[i];
      options.checkText(text, `texts[${i}]`, maxBytes);
      yield text;
    }
  }
  return { length, [Symbol.iterator]: each };
}

/** Before the first is embedded, since the last may be hours away; in turns of the event loop, since millions take a tenth of a second. @param {Texts} list */
async function checkInTurns(list) {
  let n = 0;
  for (const _ of list) if (++n % checkedTogether === 0) await new Promise((resolve) => setImmediate(resolve));
}

/** A slice's vectors, each with memory of its own. @param {Slice & { count: number }} slice */
function* each(slice) {
  const { vectors, count } = slice;
  const n = vectors.length / count;
  for (let i = 0; i < count; i++) yield part(slice, count === 1 ? vectors : vectors.slice(i * n, (i + 1) * n), i);
}

/** What the caller gets of a slice's i-th text. @param {Slice} slice @param {Numbers} vector @param {number} i */
function part({ scales, tokens, truncated }, vector, i) {
  return tokens && truncated ? { vector, tokens: tokens[i], truncated: truncated[i], ...(scales && { scale: scales[i] }) } : vector;
}

/**
 * An embedder; nothing is loaded before its first use.
 * @param {string | URL | LoadOptions} [given]
 */
function loadEmbedder(given) {
  const checked = options.check(options.loadOptions.model.ok(given) ? { model: given } : given, options.loadOptions, 'options');
  if (checked.model !== undefined) checked.model = options.checkModel(checked.model, 'model');
  return new Embedder(checked);
}

module.exports = { Embedder, loadEmbedder };
