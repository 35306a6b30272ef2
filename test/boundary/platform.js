// What the package gives on another platform, for scripts/test-*.sh. What it prints must be the same everywhere; which way
// isolation: 'auto' took goes to stderr.
//
//   node test/boundary/platform.js PACKAGE CHECK ...    a folder or a name, then of: auto, process, death, orphan

const assert = require('node:assert/strict');
const childProcess = require('node:child_process');
const { createHash } = require('node:crypto');

const { spawn } = childProcess;
/** The core's processes so far. @type {childProcess.ChildProcess[]} */
const cores = [];
/** @param {[any, any, any]} args */
childProcess.spawn = /** @type {any} */ (
  (...args) => {
    cores.push(spawn(...args));
    return cores.at(-1);
  }
);
const [, , name, ...named] = process.argv;
const { loadEmbedder, kernels, GgufError } = require(name);

const texts = ['a text', '', 'ünïcödé 漢字 🙂', 'another one '.repeat(100)];

/** @param {Float32Array[]} vectors */
function hash(vectors) {
  const h = createHash('sha256');
  for (const v of vectors) h.update(v);
  return h.digest('hex');
}

/** @type {[import('../../js/index').LoadOptions, (e: import('../../js/index').Embedder) => Promise<unknown>][]} */
const failures = [
  [{ model: 'missing.gguf' }, (e) => e.ready()],
  [{ model: __filename }, (e) => e.ready()],
  [{ memoryLimit: 1000 }, (e) => e.ready()],
  [{ truncate: false }, (e) => e.embed('word '.repeat(600))],
  [{}, (e) => e.embed('x', { dimensions: 5000 })],
];

/** The bytes of vectors, and typed errors. @param {'auto' | 'process'} isolation */
async function results(isolation) {
  for (const precision of /** @type {const} */ (['exact', 'fast'])) {
    const e = loadEmbedder({ isolation, precision });
    console.log(precision, hash(await e.embedMany(texts)));
    await e.close();
  }
  for (const [given, use] of failures) {
    const e = loadEmbedder({ ...given, isolation });
    const error = await use(e).catch((x) => x);
    assert.ok(error instanceof GgufError);
    console.log(error.code, error.kind, error.field, error.offset);
    await e.close();
  }
  console.error(`${isolation}: ${cores.length > 0 ? 'a process' : 'the addon'}, ${kernels().selected}`);
}

const checks = {
  auto: () => results('auto'),
  process: () => results('process'),

  /** Calls under way reject; the next one starts another process, and gives the same. */
  async death() {
    const e = loadEmbedder({ isolation: 'process' });
    const before = await e.embed('same');
    const call = e.embedMany(Array(700).fill('many words '.repeat(100))).catch((x) => x);
    setTimeout(() => cores.at(-1)?.kill('SIGKILL'), 20);
    const error = /** @type {any} */ (await call);
    assert.ok(error instanceof GgufError);
    console.log(error.code, error.kind, hash([await e.embed('same')]) === hash([before]));
    await e.close();
  },

  /** The core's process of one that is killed does not outlive it. */
  async orphan() {
    const parent = spawn(process.execPath, [__filename, name, 'parent']);
    const pid = Number(await new Promise((r) => parent.stdout.once('data', r)));
    process.kill(pid, 0);
    parent.kill('SIGKILL');
    for (let i = 0; i < 400 && isAlive(pid); i++) await new Promise((r) => setTimeout(r, 25));
    console.log('orphan', isAlive(pid));
  },

  async parent() {
    const e = await loadEmbedder({ isolation: 'process' }).ready();
    console.log(cores[0].pid);
    for (;;) await e.embedMany(Array(256).fill('busy '.repeat(300)));
  },
};

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function main() {
  for (const c of named) await checks[/** @type {keyof typeof checks} */ (c)]();
}

main();
