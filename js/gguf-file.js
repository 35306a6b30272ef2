const { Kind } = require('./kinds');
const { call, closeTarget, closedWhenForgotten } = require('./native');
const { closedError, argumentError } = require('./errors');
const { CrashPrevention } = require('./heap');
const { resolveModel } = require('./hub/resolve');
const options = require('./options');

/**
 * @import { GgufFileInfo, MetadataValue, TensorInfo, MemoryPlan } from './index.js'
 * @import { Target } from './native'
 */

const page = 1024;
const named = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** A number, string or bool as JSON carries it → JavaScript's. @param {string} type @param {any} value */
function decode(type, value) {
  if (type === 'u64' || type === 'i64') return BigInt(value);
  if ((type === 'f32' || type === 'f64') && typeof value === 'string') return named.get(value);
  return value ?? (type === 'string' ? '' : type === 'bool' ? false : 0);
}

/** An array in the file: its elements are read when asked for. */
class MetadataArray {
  #read;
  /** @param {(from: number, count: number) => Promise<any[]>} read @param {string} elementType @param {number} length */
  constructor(read, elementType, length) {
    this.#read = read;
    this.elementType = elementType;
    this.length = length;
  }

  /**
   * Elements [start, end).
   * @param {number} [start]
   * @param {number} [end]
   */
  async slice(start = 0, end = this.length) {
    if (!Number.isInteger(start) || start < 0) throw argumentError('start', 'an integer from 0', start);
    if (!Number.isInteger(end)) throw argumentError('end', 'an integer', end);
    /** @type {any[]} */
    const out = [];
    for (let at = start; at < Math.min(end, this.length); ) {
      const values = await this.#read(at, Math.min(page, Math.min(end, this.length) - at));
      for (const v of values) out.push(decode(this.elementType, v));
      at += values.length;
    }
    return out;
  }

  async *[Symbol.asyncIterator]() {
    for (let at = 0; at < this.length; at += page) yield* await this.slice(at, at + page);
  }
}

const watch = new CrashPrevention();
const forgotten = closedWhenForgotten(Kind.fileClose);

/** An open GGUF file. Made by openGguf. */
class GgufFile {
  /** @type {{ target?: Target }} */
  #state;
  #signal;
  #memoryLimit;

  /** @param {Target} target @param {GgufFileInfo} info @param {{ signal?: AbortSignal, memoryLimit?: number }} checked */
  constructor(target, info, { signal, memoryLimit }) {
    this.#state = { target };
    forgotten.register(this, this.#state, this);
    this.#signal = signal;
    this.#memoryLimit = memoryLimit;
    this.info = Object.freeze(info);
  }

  /** @param {number} kind @param {object} [request] */
  async #job(kind, request) {
    await watch.check();
    const { target } = this.#state;
    if (!target) throw closedError('file');
    return call(kind, { target, request, signal: this.#signal });
  }

  /** @param {object} request */
  async #metadata(request) {
    return (await this.#job(Kind.fileMetadata, request)).reply;
  }

  /** @param {string} key @param {{ type: string, value?: any, elementType?: string, length?: number }} v @returns {MetadataValue} */
  #value(key, v) {
    if (v.type !== 'array') return decode(v.type, v.value);
    /** @param {number} from @param {number} count */
    const read = async (from, count) => (await this.#metadata({ key, from, count })).values;
    return new MetadataArray(read, v.elementType ?? '', v.length ?? 0);
  }

  /** @param {string} key @returns {Promise<MetadataValue | undefined>} */
  async get(key) {
    if (typeof key !== 'string' || key === '') throw argumentError('key', 'a metadata key', key);
    const { found, value } = await this.#metadata({ key });
    return found ? this.#value(key, value) : undefined;
  }

  async *[Symbol.asyncIterator]() {
    for (let at = 0; at < this.info.pairs; ) {
      const { pairs } = await this.#metadata({ from: at, count: page });
      for (const { key, value } of pairs) yield/** @type {[string, MetadataValue]} */ ([key, this.#value(key, value)]);
      at += pairs.length;
    }
  }

  /** @returns {Promise<TensorInfo[]>} */
  async tensors() {
    /** @type {TensorInfo[]} */
    const list = [];
    while (list.length < this.info.tensors) list.push(...(await this.#job(Kind.fileTensors, { from: list.length, count: page })).reply.tensors);
    return list;
  }

  /** @param {{ precision?: 'exact' | 'fast' }} [given] @returns {Promise<MemoryPlan>} */
  async plan(given) {
    return (await this.#job(Kind.filePlan, options.check(given, options.planOptions, 'options'))).reply;
  }

  /** @param {string} name */
  async *chunks(name) {
    if (typeof name !== 'string') throw argumentError('name', "a tensor's name", name);
    for (let offset = 0; offset >= 0; ) {
      const { reply, output } = await this.#job(Kind.fileChunk, { tensor: name, offset });
      yield {
        data: new Uint8Array(/** @type {ArrayBuffer} */ (output), 0, reply.bytes),
        offset: reply.offset,
        firstElement: reply.firstElement,
        elements: reply.elements,
      };
      offset = reply.next;
    }
  }

  /** @param {string} name */
  async load(name) {
    if (typeof name !== 'string') throw argumentError('name', "a tensor's name", name);
    const { output } = await this.#job(Kind.fileLoad, { tensor: name, memoryLimit: this.#memoryLimit });
    return new Float32Array(/** @type {ArrayBuffer} */ (output));
  }

  async close() {
    forgotten.unregister(this);
    const { target } = this.#state;
    this.#state.target = undefined;
    if (target) await closeTarget(Kind.fileClose, target);
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }
}

/**
 * Opens a file's header.
 * @param {string | URL} file
 * @param {object} [given]
 */
async function openGguf(file, given) {
  const model = options.checkModel(file, 'path');
  const checked = options.check(given, options.fileOptions, 'options');
  const { signal } = checked;
  await watch.check();
  const { reply, target } = await call(Kind.fileOpen, { request: { path: await resolveModel(model, { signal }) }, signal });
  return new GgufFile(/** @type {Target} */ (target), reply.info, checked);
}

module.exports = { GgufFile, openGguf };
