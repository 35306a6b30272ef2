// The only file that touches the addon. Every call of the core is a job: call() submits it and gives a
// promise of this realm; the job kinds and messages are those of goloader/capi/gguf_stream.h.

const path = require('node:path');
const { platforms, libc } = require('./platforms');
const { GgufError, fromNative, callerStack } = require('./errors');

/**
 * @import { Caller } from './errors'
 * @typedef {{ reply: any, output: ArrayBuffer | undefined }} Result
 * @typedef {(loaded: number, total: number, tensor: string) => void} Progress
 * @typedef {object} Addon
 * @property {number} abiVersion
 * @property {(kernels: string, threads: number) => void} load
 * @property {(kind: number, handle: number, request: string | undefined, texts: string[] | undefined, callback: (error: any, reply?: string, output?: ArrayBuffer) => void, progress?: Progress) => number} submit
 * @property {(id: number) => void} cancel
 * @property {() => Record<string, number>} counters
 * @property {() => { selected: string | undefined, sets: { name: string, needs: string }[] }} kernels
 * @property {(bytes: number, limit: number) => boolean} reserve
 * @property {(bytes: number) => void} unreserve
 * @property {() => { live: number, late: number }} stats
 * @property {(refuse: boolean) => void} refuseExternal
 */

/** gs_job_kind */
const Kind = Object.freeze({
  open: 1,
  embed: 2,
  tokenize: 3,
  close: 4,
  fileOpen: 5,
  fileMetadata: 6,
  fileTensors: 7,
  filePlan: 8,
  fileChunk: 9,
  fileLoad: 10,
  fileClose: 11,
  collect: 12,
  output: 13,
  look: 14,
});

/** What closes the handle of a job that opens. @type {Readonly<Record<number, number>>} */
const closers = Object.freeze({ [Kind.open]: Kind.close, [Kind.fileOpen]: Kind.fileClose });

/** @type {Addon | undefined} */
let addon;

const binary = 'gguf_stream.node';

/** @returns {string[]} where the addon may be, best first */
function candidates() {
  if (process.env.GGUF_STREAM_BINARY) return [process.env.GGUF_STREAM_BINARY];
  const own = platforms.find((p) => p.platform === process.platform && p.arch === process.arch && (p.libc === null || p.libc === libc()));
  const places = [path.join(__dirname, '..', 'build', 'native', binary)];
  if (own) places.push(`${own.package}/${binary}`);
  return places;
}

/** @returns {Addon} */
function requireAddon() {
  /** @type {string[]} */
  const tried = [];
  /** @type {unknown} */
  let cause;
  for (const place of candidates()) {
    try {
      return require(place);
    } catch (e) {
      cause = e;
      tried.push(`  ${place}: ${String(/** @type {Error} */ (e).message).split('\n')[0]}`);
    }
  }
  const musl = libc() === 'musl' ? ' musl (Alpine) cannot load it in the process; use an image with glibc.' : '';
  throw new GgufError({
    code: 'ERR_NATIVE_LOAD',
    kind: 'io',
    message: `gguf-stream has no native library for ${process.platform}-${process.arch} (${libc() ?? 'no libc'}), Node ${process.versions.node}.${musl} Tried:\n${tried.join('\n')}\nIn a checkout run \`npm run build\`; else reinstall the package with optional dependencies.`,
    cause,
  });
}

/** The addon with the core loaded; the first call in a process may take some milliseconds. */
function native() {
  if (addon) return addon;
  const a = requireAddon();
  try {
    a.load(process.env.GGUF_STREAM_KERNELS ?? '', 0);
  } catch (e) {
    const error = /** @type {any} */ (e);
    throw error.code ? fromNative(error, undefined) : e;
  }
  addon = a;
  return a;
}

/**
 * Hands a job to the addon; the copy of its arguments needs memory.
 * @param {Parameters<Addon['submit']>} job
 */
function submit(...job) {
  const a = native();
  try {
    return a.submit(...job);
  } catch (cause) {
    throw new GgufError({
      code: 'ERR_MEMORY_ALLOCATION',
      kind: 'limit',
      message: `the call cannot be handed over: ${/** @type {Error} */ (cause).message}`,
      cause,
    });
  }
}

/** Closes what a job has opened for a caller that is gone. @param {number} kind @param {string | undefined} reply */
function discard(kind, reply) {
  if (closers[kind] && reply !== undefined) submit(closers[kind], JSON.parse(reply).handle, undefined, undefined, () => {});
}

/**
 * One job. Rejects with a GgufError, or with the signal's reason.
 * @param {number} kind
 * @param {{ handle?: number, request?: object, texts?: string[], signal?: AbortSignal, progress?: Progress, caller?: Caller }} [c]
 * @returns {Promise<Result>}
 */
function call(kind, c = {}) {
  const { signal, caller = callerStack(call) } = c;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => addon?.cancel(id);
    const request = c.request && JSON.stringify(c.request);
    const id = submit(
      kind,
      c.handle ?? 0,
      request === '{}' ? undefined : request,
      c.texts,
      (error, reply, output) => {
        signal?.removeEventListener('abort', onAbort);
        if (signal?.aborted) {
          discard(kind, reply);
          reject(signal.reason);
        } else if (error) reject(fromNative(error, caller));
        else resolve({ reply: reply === undefined ? undefined : JSON.parse(reply), output });
      },
      c.progress,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * A promise's outcome, or the signal's reason if that comes first.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * What FinalizationRegistry closes when an object with a handle is dropped without close().
 * @param {number} kind
 * @returns {FinalizationRegistry<{ handle: number }>}
 */
function closedWhenForgotten(kind) {
  return new FinalizationRegistry((state) => {
    if (state.handle) call(kind, { handle: state.handle }).catch(() => {});
  });
}

module.exports = { Kind, call, native, unlessAborted, closedWhenForgotten };
