// The only file that touches the addon. Every call of the core is a job: call() submits it and gives a
// promise of this realm; the job kinds and messages are those of goloader/capi/gguf_stream.h.

const path = require('node:path');
const { isMainThread } = require('node:worker_threads');
const { platforms, libc } = require('./platforms');
const { Kind } = require('./kinds');
const { nativeFiles, notInstalled, ifBundled } = require('./locate');
const { onAbort } = require('./signals');
const { GgufError, fromNative, callerStack, lostError } = require('./errors');

/**
 * @import { Caller } from './errors'
 * @typedef {{ reply: any, output: ArrayBuffer | undefined, target: Target | undefined }} Result
 * @typedef {(loaded: number, total: number, tensor: string) => void} Progress
 * @typedef {{ core: Core, epoch: number | undefined, handle: number }} Target what a handle belongs to
 * @typedef {Core & { load: (kernels: string, threads: number, external: boolean) => void }} Addon
 */

/**
 * @typedef {object} Core what does the jobs: the addon, or a child process
 * @property {number} [epoch] a handle is void when this is no longer what it was
 * @property {(kind: number, handle: number, request: string | undefined, texts: string[] | undefined, callback: (error: any, reply?: string, output?: ArrayBuffer) => void, progress?: Progress) => number} submit
 * @property {(id: number) => void} cancel
 * @property {() => Record<string, number>} counters
 * @property {() => { selected: string | undefined, sets: { name: string, needs: string }[] }} kernels
 * @property {(bytes: number, limit: number) => boolean} reserve
 * @property {(bytes: number) => void} unreserve
 */

/** What closes the handle of a job that opens. @type {Readonly<Record<number, number>>} */
const closers = Object.freeze({ [Kind.open]: Kind.close, [Kind.fileOpen]: Kind.fileClose });

/** @type {Addon | undefined} */
let addon;
/** @type {InstanceType<typeof import('./process').ProcessCore> | undefined} */
let child;

/** @param {string[]} tried what did not work @returns {Addon | undefined} */
function requireAddon(tried) {
  for (const { from, file, problem } of nativeFiles('addon')) {
    try {
      if (file) return require(path.resolve(file));
      tried.push(`  ${from}: ${problem}`);
    } catch (e) {
      tried.push(`  ${from}: ${String(/** @type {Error} */ (e).message).split('\n')[0]}`);
    }
  }
  return undefined;
}

/** The core as a child process. @param {string[]} [tried] what did not work so far */
function processCore(tried = []) {
  if (child) return child;
  const allowed = /** @type {{ permission?: { has(scope: string): boolean } }} */ (process).permission?.has('child') ?? true;
  for (const { from, file, problem } of nativeFiles('process')) {
    try {
      if (!file || !allowed) throw new Error(problem ?? 'child processes are not permitted (--allow-child-process)');
      const { ProcessCore } = require('./process'); // only where it is used: its modules take milliseconds
      child = new ProcessCore(path.resolve(file), tried);
      return child;
    } catch (e) {
      tried.push(`  ${from}: ${/** @type {Error} */ (e).message}`);
    }
  }
  throw noCore(tried);
}

/** @param {string[]} tried */
function noCore(tried) {
  const { platform, arch } = process;
  const known = platforms.some((p) => p.platform === platform && p.arch === arch);
  const forLibc = platform === 'linux' ? ` --libc=${libc()}` : ''; // without it npm on another system leaves the addon's package out
  const bundled = tried.some((t) => t.endsWith(notInstalled)) ? `; ${ifBundled}` : '';
  const cure = known
    ? `Install its packages: npm install --include=optional --os=${platform} --cpu=${arch}${forLibc} gguf-stream${bundled}`
    : `Packages exist for ${[...new Set(platforms.map((p) => `${p.platform}-${p.arch}`))].join(', ')}`;
  return new GgufError({
    code: 'ERR_NATIVE_LOAD',
    kind: 'io',
    message: `gguf-stream has no native library for ${platform}-${arch} (${libc() ?? 'no libc'}), Node ${process.versions.node}. Tried:\n${tried.join('\n')}\n${cure}; in a checkout: npm run build.`,
  });
}

/** The core, loaded into this process where that can be, else in a child; the first call in a process may take some milliseconds. */
function native() {
  if (addon) return addon;
  /** @type {string[]} */
  const tried = [];
  const a = requireAddon(tried);
  if (!a) return processCore(tried);
  try {
    a.load(process.env.GGUF_STREAM_KERNELS ?? '', 0, isMainThread);
  } catch (e) {
    const error = /** @type {any} */ (e);
    throw error.code ? fromNative(error, undefined) : e;
  }
  addon = a;
  return a;
}

/** The kernel sets of this processor. */
function kernels() {
  const { selected, sets } = native().kernels();
  return {
    selected: selected ?? '',
    available: sets.filter((s) => s.needs === '').map((s) => s.name),
    missing: sets.filter((s) => s.needs !== '').map((s) => ({ name: s.name, needs: s.needs.split(' ') })),
  };
}

/** @param {Target} target */
const isLost = (target) => target.epoch !== target.core.epoch;

/** @param {Core} core @param {string | undefined} json @param {ArrayBuffer | undefined} output @returns {Result} */
function resultOf(core, json, output) {
  const reply = json === undefined ? undefined : JSON.parse(json);
  return { reply, output, target: reply?.handle ? { core, epoch: core.epoch, handle: reply.handle } : undefined };
}

/**
 * Hands a job to the core; the copy of its arguments needs memory.
 * @param {Core} core
 * @param {Parameters<Core['submit']>} job
 */
function submit(core, ...job) {
  try {
    return core.submit(...job);
  } catch (cause) {
    if (cause instanceof GgufError) throw cause;
    const { message } = /** @type {Error} */ (cause);
    throw new GgufError({ code: 'ERR_MEMORY_ALLOCATION', kind: 'limit', message: `the call cannot be handed over: ${message}`, cause });
  }
}

/**
 * One job. Rejects with a GgufError, or with the signal's reason.
 * @param {number} kind
 * @param {{ core?: Core, target?: Target, request?: object, texts?: string[], signal?: AbortSignal, progress?: Progress, caller?: Caller }} [c]
 * @returns {Promise<Result>}
 */
function call(kind, c = {}) {
  const { signal, caller = callerStack(call) } = c;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const { target } = c;
    const core = target?.core ?? c.core ?? native();
    if (target && isLost(target)) throw lostError();
    let forget = () => {};
    const request = c.request && JSON.stringify(c.request);
    const id = submit(
      core,
      kind,
      target?.handle ?? 0,
      request === '{}' ? undefined : request,
      c.texts,
      (error, reply, output) => {
        forget();
        const result = error ? undefined : resultOf(core, reply, output);
        if (signal?.aborted) {
          if (result?.target && closers[kind]) closeTarget(closers[kind], result.target).catch(() => {}); // nobody will
          reject(signal.reason);
        } else if (result) resolve(result);
        else reject(fromNative(error, caller));
      },
      c.progress,
    );
    forget = onAbort(signal, () => {
      core.cancel(id);
      if (!closers[kind]) reject(signal?.reason); // the core may be long in coming to it; what it opens is closed first
    });
  });
}

/** Ends what a handle stands for; a process that died has ended it already. @param {number} kind @param {Target} target */
async function closeTarget(kind, target) {
  try {
    if (!isLost(target)) await call(kind, { target });
  } catch (e) {
    if (/** @type {any} */ (e).code !== 'ERR_PROCESS_DIED') throw e;
  }
}

/**
 * What closes a target when the object that holds it is dropped without close().
 * @param {number} kind
 * @returns {FinalizationRegistry<{ target?: Target }>}
 */
function closedWhenForgotten(kind) {
  return new FinalizationRegistry((state) => {
    if (state.target) closeTarget(kind, state.target).catch(() => {});
  });
}

module.exports = { call, closeTarget, closedWhenForgotten, isLost, kernels, native, processCore };
