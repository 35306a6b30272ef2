// What several commands share: options, reading texts, making an embedder, printing.

const fs = require('node:fs');
const readline = require('node:readline');
const { loadEmbedder } = require('../index');

/**
 * @typedef {Record<string, any>} Values
 * @typedef {{
 *   usage: string, summary: string,
 *   options: NonNullable<import('node:util').ParseArgsConfig['options']>,
 *   run: (values: Values, args: string[]) => Promise<number | void>,
 * }} Command usage begins with the command's name; what run resolves to is the exit code, 0 if nothing
 */

class UsageError extends Error {}

const common = /** @type {const} */ ({
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
});
const modelOptions = /** @type {const} */ ({
  ...common,
  model: { type: 'string', short: 'm' },
  precision: { type: 'string' },
  threads: { type: 'string' },
  task: { type: 'string' },
  prefix: { type: 'string' },
  dimensions: { type: 'string' },
  file: { type: 'string', short: 'f', multiple: true },
  jsonl: { type: 'boolean' },
});

/** loadEmbedder's options. @param {Values} v */
function embedderOptions(v) {
  /** @type {Values} */
  const o = {};
  for (const name of ['model', 'precision', 'task', 'prefix']) if (v[name] !== undefined) o[name] = v[name];
  for (const name of ['threads', 'dimensions']) if (v[name] !== undefined) o[name] = Number(v[name]);
  return o;
}

/** @param {Values} v */
const embedderOf = (v) => loadEmbedder({ ...embedderOptions(v), ...showProgress() });

/** @param {import('../index.js').LoadProgress} p */
function onProgress({ phase, loadedBytes, totalBytes }) {
  const done = loadedBytes === totalBytes;
  process.stderr.write(done ? '\r\x1b[K' : `\r${phase} ${Math.round((100 * loadedBytes) / totalBytes)} %`);
}

/** The option that shows progress, on a terminal only. */
const showProgress = () => (process.stderr.isTTY ? { onProgress } : {});

/** @param {string} line @param {boolean} jsonl */
function textOf(line, jsonl) {
  if (!jsonl) return line;
  const v = JSON.parse(line);
  const text = typeof v === 'string' ? v : v?.text;
  if (typeof text !== 'string') throw new UsageError('each line of --jsonl must be a string or an object with "text"');
  return text;
}

/** The texts of the arguments, else of the files, else of standard input. @param {Values} v @param {string[]} args */
async function* texts(v, args) {
  if (args.length > 0) {
    yield* args;
    return;
  }
  for (const file of v.file ?? [undefined]) {
    const input = file === undefined ? process.stdin : fs.createReadStream(file);
    const lines = readline.createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    /** @type {Error | undefined} */
    let failed;
    const fail = (/** @type {Error} */ e) => {
      failed = e;
      lines.close();
    };
    input.on('error', fail);
    lines.on('error', fail); // readline tells the input's once more
    for await (const line of lines) if (!v.jsonl || line.trim() !== '') yield textOf(line, v.jsonl);
    if (failed) throw new Error(`${file ?? 'standard input'}: ${failed.message}`, { cause: failed });
  }
}

/** @param {string} line */
async function print(line) {
  if (!process.stdout.write(`${line}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

module.exports = { UsageError, common, modelOptions, embedderOptions, embedderOf, texts, print, showProgress, megabytes };
