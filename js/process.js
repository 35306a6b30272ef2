// The core as a child process, behind the addon's own interface (Core in js/native.js): for hosts that cannot load
// the addon, and for isolation: 'process'. The child is goloader/process.
//
// A frame is a header of 32-bit little-endian numbers and a body. Requests (to its stdin), header of 8:
//
//   body bytes, id, kind (0 cancels the job id), flags (1: wants progress), handle (low, high), request bytes, texts
//   body: request (JSON), the end of each text (u32), all texts (UTF-8) one after another
//
// Responses (from its stdout), header of 6:
//
//   id, type, JSON bytes, counters bytes, output bytes (low, high)
//   body: JSON, counters (i64 each, in the order of counterNames), output
//   hello (0, first of all): JSON { version, selected, sets }    result (1): JSON: the reply, may be empty
//   error (2): JSON { code, kind, field, offset, message }       progress (3): the tensor's name for JSON; output: loaded, total bytes (u64)
//
// One child a thread of JavaScript's; it is started by the first call, ends when its stdin does (so also when this
// process is killed), and does not keep the event loop while nothing is asked of it. When it dies, what was under way
// rejects with ERR_PROCESS_DIED, the epoch goes up (handles of an earlier epoch are void) and the next call starts another.

const { spawn, spawnSync } = require('node:child_process');
const os = require('node:os');
const { GgufError } = require('./errors');
const { Kind } = require('./kinds');
const { defaultBudgetBytes } = require('./limits');

/**
 * @import { Core } from './native'
 * @typedef {{ callback: Parameters<Core['submit']>[4], progress: Parameters<Core['submit']>[5] }} Call
 * @typedef {{ id: number, type: number, json: string, counters: Buffer, output: ArrayBuffer | undefined }} Response
 * @typedef {{ version: number, selected: string, sets: { name: string, needs: string }[] }} Hello
 */

const protocolVersion = 1;
const requestHeader = 32;
const responseHeader = 24;
const Type = Object.freeze({ hello: 0, result: 1, error: 2, progress: 3 });
const counterNames = ['weights', 'activations', 'staging', 'vocab', 'index', 'output', 'regions', 'budget', 'reserved', 'system', 'goHeap', 'working'];
/** What the system leaves, as Node knows it; macOS swaps before it refuses, and has little that is free. */
const systemBytes = () => (process.platform === 'darwin' ? os.totalmem() : (process.availableMemory?.() ?? os.freemem()));
/** Before a child has told anything. */
const nothingKnown = () => ({ ...Object.fromEntries(counterNames.map((n) => [n, 0])), system: systemBytes() });
const stderrKept = 2048;
/** As queueMicrotask, which is replaced by a host's tests that fake timers. @param {() => void} task */
const soon = (task) => void Promise.resolve().then(task);

/** @param {number} id @param {number} kind @param {number} handle @param {string} request @param {string[]} texts @param {boolean} progress */
function encode(id, kind, handle, request, texts, progress) {
  const requestBytes = Buffer.byteLength(request);
  const textBytes = texts.reduce((n, t) => n + Buffer.byteLength(t), 0);
  const frame = Buffer.allocUnsafe(requestHeader + requestBytes + 4 * texts.length + textBytes);
  const header = [frame.length - requestHeader, id, kind, progress ? 1 : 0, handle >>> 0, Math.floor(handle / 2 ** 32), requestBytes, texts.length];
  for (const [i, v] of header.entries()) frame.writeUInt32LE(v, 4 * i);
  const ends = requestHeader + frame.write(request, requestHeader);
  const first = ends + 4 * texts.length;
  let at = first;
  for (const [i, t] of texts.entries()) {
    at += frame.write(t, at);
    frame.writeUInt32LE(at - first, ends + 4 * i);
  }
  return frame;
}

/** Puts responses together from a pipe's pieces; an output goes straight to the memory that the caller gets. */
class Responses {
  #deliver;
  /** @type {'header' | 'head' | 'output'} */
  #part = 'header';
  #at = 0; // in the part
  #wanted = responseHeader; // bytes of the part
  #header = Buffer.alloc(responseHeader);
  #head = Buffer.alloc(0); // JSON and counters
  /** @type {ArrayBuffer | undefined} without memory it is read past */
  #output;
  /** @param {(r: Response) => void} deliver */
  constructor(deliver) {
    this.#deliver = deliver;
  }

  /** @param {Buffer} piece */
  push(piece) {
    for (let from = 0; from < piece.length; ) {
      const n = Math.min(piece.length - from, this.#wanted - this.#at);
      this.#target()?.set(piece.subarray(from, from + n), this.#at);
      this.#at += n;
      from += n;
      while (this.#at === this.#wanted) this.#next();
    }
  }

  #target() {
    if (this.#part === 'output') return this.#output && new Uint8Array(this.#output);
    return this.#part === 'head' ? this.#head : this.#header;
  }

  #next() {
    this.#at = 0;
    if (this.#part === 'header') {
      this.#part = 'head';
      this.#wanted = this.#header.readUInt32LE(8) + this.#header.readUInt32LE(12);
      this.#head = Buffer.alloc(this.#wanted);
    } else if (this.#part === 'head') {
      this.#part = 'output';
      this.#wanted = this.#header.readUInt32LE(20) * 2 ** 32 + this.#header.readUInt32LE(16);
      this.#output = allocate(this.#wanted);
    } else {
      const response = this.#response(this.#wanted);
      this.#part = 'header';
      this.#wanted = responseHeader;
      this.#output = undefined;
      this.#deliver(response);
    }
  }

  /** @param {number} outputBytes @returns {Response} */
  #response(outputBytes) {
    const id = this.#header.readUInt32LE(0);
    const jsonBytes = this.#header.readUInt32LE(8);
    const counters = this.#head.subarray(jsonBytes);
    if (!this.#output) return { id, type: Type.error, json: JSON.stringify(noMemory(outputBytes)), counters, output: undefined };
    const json = this.#head.toString('utf8', 0, jsonBytes);
    return { id, type: this.#header.readUInt32LE(4), json, counters, output: outputBytes > 0 ? this.#output : undefined };
  }
}

/** @param {number} bytes */
function allocate(bytes) {
  try {
    return new ArrayBuffer(bytes);
  } catch {
    return undefined;
  }
}

/** As the core refuses what does not fit. @param {number} bytes @param {{ bytes: number, bound: string }} left */
function overLimit(bytes, left) {
  const message = `output needs ${bytes} bytes, but only ${Math.max(0, left.bytes)} are available (bound: ${left.bound}); raise memoryLimit, free memory, or use a smaller model`;
  return { code: 'ERR_MEMORY_LIMIT', kind: 'limit', field: 'output', offset: -1, message };
}

/** The kernel set, as the addon reads it too. */
const argumentsOfCore = () => [process.env.GGUF_STREAM_KERNELS ?? ''];

/** @param {number} bytes */
function noMemory(bytes) {
  return { code: 'ERR_MEMORY_ALLOCATION', kind: 'limit', field: 'output', offset: -1, message: `${bytes} bytes for the result` };
}

/** @param {string} message */
function died(message) {
  return { code: 'ERR_PROCESS_DIED', kind: 'io', field: '', offset: -1, message };
}

/** @implements {Core} */
class ProcessCore {
  /** Goes up when a child dies: handles of an earlier one are void. */
  epoch = 0;
  #file;
  #before;
  /** @type {import('node:child_process').ChildProcessWithoutNullStreams | undefined} */
  #child;
  /** @type {Map<number, Call>} */
  #calls = new Map();
  #nextId = 0;
  #reserved = 0;
  /** @type {Record<string, number>} */
  #counters = nothingKnown();
  /** @type {Hello | undefined} */
  #hello;

  /** @param {string} file the executable @param {string[]} tried what did not work before it */
  constructor(file, tried) {
    this.#file = file;
    this.#before = tried.length > 0 ? `. Tried before:\n${tried.join('\n')}` : '';
  }

  /** @type {Core['submit']} */
  submit(kind, handle, request, texts, callback, progress) {
    if (kind === Kind.output) {
      const asked = JSON.parse(request ?? '');
      return this.submit(Kind.look, 0, undefined, undefined, (error) => (error ? callback(error) : this.#giveOutput(asked, callback)));
    }
    do this.#nextId = (this.#nextId + 1) >>> 0;
    while (this.#nextId === 0 || this.#calls.has(this.#nextId));
    const id = this.#nextId;
    const frame = encode(id, kind, handle, request ?? '', texts ?? [], progress !== undefined);
    this.#child ??= this.#start();
    this.#write(frame);
    this.#calls.set(id, { callback, progress });
    if (this.#calls.size === 1) this.#keepLoop(true);
    return id;
  }

  /**
   * Room for a result of many jobs is memory of this process anyway: it need not come through the pipe. Whether there is any is
   * decided by what the core has just seen of the system: Node takes page cache for used.
   * @param {{ bytes: number, memoryLimit?: number }} request
   * @param {Call['callback']} callback
   */
  #giveOutput({ bytes, memoryLimit = defaultBudgetBytes }, callback) {
    const left = this.#left(memoryLimit);
    if (bytes > left.bytes) {
      callback(overLimit(bytes, left));
      return;
    }
    const output = allocate(bytes);
    if (output) callback(undefined, undefined, output);
    else callback(noMemory(bytes));
  }

  /** Later, where the stack is shallow: a stream that overflows it is broken for all calls. @param {Buffer} frame */
  #write(frame) {
    const stdin = this.#child?.stdin;
    soon(() => stdin?.write(frame));
  }

  /** @type {Core['cancel']} */
  cancel(id) {
    if (this.#calls.has(id)) this.#write(encode(id, 0, 0, '', [], false));
  }

  /** As of the last response. @type {Core['counters']} */
  counters() {
    return { ...this.#counters, reserved: this.#counters.reserved + this.#reserved };
  }

  /** What can be granted under a limit, and the bound that decides. @param {number} limit */
  #left(limit) {
    const { reserved, system } = this.counters();
    return limit - reserved <= system ? { bytes: limit - reserved, bound: 'memoryLimit' } : { bytes: system, bound: 'system' };
  }

  /** @type {Core['kernels']} */
  kernels() {
    this.#hello ??= this.#ask();
    return this.#hello;
  }

  /** @type {Core['reserve']} */
  reserve(bytes, limit) {
    const granted = bytes >= 0 && bytes <= this.#left(limit).bytes;
    if (granted) this.#reserved += bytes;
    return granted;
  }

  /** @type {Core['unreserve']} */
  unreserve(bytes) {
    this.#reserved -= bytes;
  }

  /** What a child says first, from one that is started and ended for it. @returns {Hello} */
  #ask() {
    const r = spawnSync(this.#file, argumentsOfCore(), { input: '', windowsHide: true });
    /** @type {Hello | undefined} */
    let hello;
    const responses = new Responses((first) => {
      if (first.type === Type.hello) hello = JSON.parse(first.json);
      else throw new GgufError(JSON.parse(first.json));
    });
    if (r.error) throw new GgufError(this.#notStarted(r.error));
    responses.push(r.stdout);
    return hello ?? { version: protocolVersion, selected: '', sets: [] };
  }

  #start() {
    const child = this.#spawn();
    let said = '';
    /** @type {import('./errors').NativeError | undefined} */
    let reason;
    const responses = new Responses((r) => {
      reason = this.#deliver(r) ?? reason;
    });
    child.stdout.on('data', (piece) => responses.push(piece));
    child.stderr.on('data', (piece) => {
      said = (said + piece).slice(0, stderrKept);
    });
    child.stdin.on('error', () => {}); // its end is told by 'close'
    child.on('error', (e) => this.#ended(child, this.#notStarted(e)));
    child.on('close', (code, signal) => {
      const words = said.trim().split('\n')[0];
      this.#ended(
        child,
        reason ?? died(`the core's process ended with ${signal ?? `exit code ${code}`}${words ? `: ${words}` : ''}; the next call starts another`),
      );
    });
    return child;
  }

  #spawn() {
    try {
      const child = spawn(this.#file, argumentsOfCore(), { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
      if (child.stdin) return child;
      child.on('error', () => {}); // Node tells it later and gives no pipes, where there are no descriptors for them
      throw new Error('too many open files');
    } catch (e) {
      throw new GgufError(this.#notStarted(/** @type {Error} */ (e)));
    }
  }

  /** @param {Error} e */
  #notStarted(e) {
    return { code: 'ERR_NATIVE_LOAD', kind: 'io', field: '', offset: -1, message: `the core's process cannot be started: ${e.message}${this.#before}` };
  }

  /** @param {import('node:child_process').ChildProcess} child @param {import('./errors').NativeError} reason */
  #ended(child, reason) {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.epoch++;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#counters = nothingKnown();
    for (const c of calls) c.callback(reason);
  }

  /** The error that all calls get, if that is what came. @param {Response} r */
  #deliver({ id, type, json, counters, output }) {
    for (let i = 0; 8 * i < counters.length; i++) this.#counters[counterNames[i]] = Number(counters.readBigInt64LE(8 * i));
    if (type === Type.hello) {
      this.#hello = JSON.parse(json);
      if (this.#hello?.version === protocolVersion) return undefined;
      this.#child?.stdin.end();
      return { ...died(''), code: 'ERR_NATIVE_LOAD', message: 'the core speaks another version of the protocol; install both from one package' };
    }
    if (id === 0) return JSON.parse(json); // it could not start
    const call = this.#calls.get(id);
    if (!call) return undefined;
    if (type === Type.progress) {
      const [loaded, total] = new BigUint64Array(/** @type {ArrayBuffer} */ (output));
      call.progress?.(Number(loaded), Number(total), json);
      return undefined;
    }
    this.#calls.delete(id);
    if (this.#calls.size === 0) this.#keepLoop(false);
    if (type === Type.error) call.callback(JSON.parse(json));
    else call.callback(undefined, json || undefined, output);
    return undefined;
  }

  /** @param {boolean} keep */
  #keepLoop(keep) {
    const c = this.#child;
    if (!c) return;
    for (const holder of [c, c.stdin, c.stdout, c.stderr]) /** @type {any} */ (holder)[keep ? 'ref' : 'unref']?.();
  }
}

module.exports = { ProcessCore, counterNames };
