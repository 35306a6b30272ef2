// What several commands share: options, reading texts, making an embedder, printing.

const fs = require('node:fs');
const readline = require('node:readline');
const { loadEmbedder } = require('../index');

/**
 * @typedef {Record<string, any>} Values
 * @typedef {{ text: string, fields: object, json: string }} TextRecord a line of --jsonl, or a text as one: its fields and their JSON come out again with --json
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
  'max-tokens': { type: 'string' },
  file: { type: 'string', short: 'f', multiple: true },
  jsonl: { type: 'boolean' },
});
const truncation = /** @type {const} */ ({ 'no-truncate': { type: 'boolean' } });

/** Options that are numbers, by loadEmbedder's names of them. */
const numbers = { threads: 'threads', dimensions: 'dimensions', maxTokens: 'max-tokens' };

/** loadEmbedder's options. @param {Values} v */
function embedderOptions(v) {
  /** @type {Values} */
  const o = {};
  for (const name of ['model', 'precision', 'task', 'prefix']) if (v[name] !== undefined) o[name] = v[name];
  for (const [name, option] of Object.entries(numbers)) if (v[option] !== undefined) o[name] = Number(v[option]);
  if (v['no-truncate']) o.truncate = false;
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

/** @param {string} text @returns {TextRecord} */
const textRecord = (text) => ({ text, fields: { text }, json: JSON.stringify({ text }) });

/** A line of --jsonl; a string is a record of that text alone. @param {string} line @param {string} where @returns {TextRecord} */
function recordOf(line, where) {
  let v;
  try {
    v = JSON.parse(line);
  } catch (e) {
    throw new UsageError(`${where}: ${/** @type {Error} */ (e).message}`);
  }
  if (typeof v === 'string') return textRecord(v);
  if (typeof v?.text !== 'string') throw new UsageError(`${where}: a line of --jsonl must be a string or an object with "text"`);
  return { text: v.text, fields: v, json: line.trim() };
}

/**
 * The JSON of a record and of what was made of it: the record's as it was read, since JavaScript has not every number of JSON (long
 * identifiers), unless a field is to be replaced.
 * @param {TextRecord} record
 * @param {object} made
 */
function joined({ fields, json }, made) {
  const replaces = Object.keys(made).some((name) => Object.hasOwn(fields, name));
  return replaces ? JSON.stringify({ ...fields, ...made }) : `${json.slice(0, -1)},${JSON.stringify(made).slice(1)}`;
}

/**
 * The texts of the arguments, else of the files, else of standard input.
 * @param {Values} v
 * @param {string[]} args
 * @returns {AsyncGenerator<TextRecord>}
 */
async function* records(v, args) {
  if (args.length > 0 && v.file) throw new UsageError('texts come from the arguments or from --file, not from both');
  for (const text of args) yield textRecord(text);
  if (args.length > 0) return;
  for (const file of v.file ?? [undefined]) {
    const name = file ?? 'standard input';
    const input = file === undefined ? process.stdin : fs.createReadStream(file);
    input.setEncoding('latin1'); // a character a byte: from Node 24 on readline ends a line at U+2028 and U+2029, too, which texts hold
    const lines = readline.createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    /** @type {Error | undefined} */
    let failed;
    const fail = (/** @type {Error} */ e) => {
      failed = e;
      lines.close();
    };
    input.on('error', fail);
    lines.on('error', fail); // readline tells the input's once more
    let number = 0;
    for await (const read of lines) {
      const decoded = Buffer.from(read, 'latin1').toString();
      const line = number++ === 0 ? withoutMark(decoded) : decoded;
      if (!v.jsonl) yield textRecord(line);
      else if (line.trim() !== '') yield recordOf(line, `${name}, line ${number}`);
    }
    if (failed) throw new Error(`${name}: ${failed.message}`, { cause: failed });
  }
}

/** @param {string} line */
async function print(line) {
  if (!process.stdout.write(`${line}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** Some editors' first character of a file, no part of its text. @param {string} text */
const withoutMark = (text) => text.replace(/^\uFEFF/, '');

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

module.exports = { UsageError, common, modelOptions, truncation, embedderOptions, embedderOf, records, joined, print, showProgress, megabytes, withoutMark };
