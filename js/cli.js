#!/usr/bin/env node

// gguf-stream embed | inspect | tokenize | similarity

const fs = require('node:fs');
const readline = require('node:readline');
const { parseArgs } = require('node:util');
const { loadEmbedder, openGguf, GgufError, version } = require('./index');

/** @typedef {Record<string, any>} Values */

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

const help = `gguf-stream ${version}: text embeddings from GGUF models

  gguf-stream embed [TEXT ...]          a vector a text
  gguf-stream similarity TEXT TEXT ...  the cosine of each pair
  gguf-stream tokenize [TEXT ...]       token ids
  gguf-stream inspect MODEL.gguf        metadata, tensors by type, memory plan

Texts come from the arguments, from files (--file F, one a line) or from standard input; with --jsonl each line is
a JSON string or an object with "text".

  -m, --model PATH     the model; default: the bundled all-MiniLM-L6-v2
  --precision P        exact (default) or fast
  --threads N --task T --prefix S --dimensions N
  --json               machine-readable output
  -h, --help  --version

Exit codes: 0 done, 1 failed, 2 wrong usage.`;

/** @param {Values} v */
function embedderOf(v) {
  /** @type {Values} */
  const o = {};
  for (const name of ['model', 'precision', 'task', 'prefix']) if (v[name] !== undefined) o[name] = v[name];
  for (const name of ['threads', 'dimensions']) if (v[name] !== undefined) o[name] = Number(v[name]);
  if (process.stderr.isTTY) o.onProgress = progress;
  return loadEmbedder(o);
}

/** @param {{ loadedBytes: number, totalBytes: number }} p */
function progress({ loadedBytes, totalBytes }) {
  const done = loadedBytes === totalBytes;
  process.stderr.write(done ? '\r\x1b[K' : `\rloading ${Math.round((100 * loadedBytes) / totalBytes)} %`);
}

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
  const inputs = v.file ? v.file.map((/** @type {string} */ f) => fs.createReadStream(f)) : [process.stdin];
  for (const input of inputs) {
    /** @type {Error | undefined} */
    let failed;
    input.once('error', (/** @type {Error} */ e) => {
      failed = e;
      lines.close();
    });
    const lines = readline.createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) if (!v.jsonl || line.trim() !== '') yield textOf(line, v.jsonl);
    if (failed) throw failed;
  }
}

/** @param {string} line */
async function print(line) {
  if (!process.stdout.write(`${line}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** @param {Float32Array} vector */
const shortest = (vector) => Array.from(vector, (x) => Number(x.toPrecision(9))).join(' ');

/** @param {Values} v @param {string[]} args */
async function embed(v, args) {
  const e = embedderOf(v);
  /** @type {string[]} */
  const sent = [];
  async function* remembered() {
    for await (const t of texts(v, args)) {
      sent.push(t);
      yield t;
    }
  }
  for await (const vector of e.embedStream(remembered())) {
    const text = sent.shift();
    await print(v.json ? JSON.stringify({ text, embedding: Array.from(vector) }) : shortest(vector));
  }
  await e.close();
}

/** @param {Values} v @param {string[]} args */
async function similarity(v, args) {
  const e = embedderOf(v);
  /** @type {string[]} */
  const list = [];
  for await (const t of texts(v, args)) list.push(t);
  if (list.length < 2) throw new UsageError('similarity takes two texts or more');
  const vectors = await e.embedMany(list);
  const pairs = [];
  for (let i = 0; i < list.length; i++)
    for (let j = i + 1; j < list.length; j++) pairs.push({ a: list[i], b: list[j], similarity: e.similarity(vectors[i], vectors[j]) });
  pairs.sort((x, y) => y.similarity - x.similarity);
  if (v.json) await print(JSON.stringify(pairs));
  else for (const p of pairs) await print(`${p.similarity.toFixed(4)}  ${p.a}  |  ${p.b}`);
  await e.close();
}

/** @param {Values} v @param {string[]} args */
async function tokenize(v, args) {
  const e = embedderOf(v);
  for await (const text of texts(v, args)) {
    const ids = Array.from(await e.tokenize(text));
    await print(v.json ? JSON.stringify({ text, ids }) : ids.join(' '));
  }
  await e.close();
}

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** @param {any} value */
function shown(value) {
  if (typeof value === 'object' && value !== null) return `${value.elementType}[${value.length}]`;
  const s = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return s.length > 100 ? `${s.slice(0, 97)}...` : s;
}

/** @param {Values} v @param {string[]} args */
async function inspect(v, args) {
  if (args.length !== 1) throw new UsageError('inspect takes one file');
  const file = await openGguf(args[0]);
  /** @type {Record<string, string>} */
  const metadata = {};
  for await (const [key, value] of file) metadata[key] = shown(value);
  const tensors = await file.tensors();
  /** @type {Record<string, { tensors: number, bytes: number }>} */
  const types = {};
  for (const t of tensors) {
    types[t.type] ??= { tensors: 0, bytes: 0 };
    types[t.type].tensors++;
    types[t.type].bytes += t.bytes;
  }
  const plan = await file.plan().catch((e) => ({ error: e.message }));
  if (v.json) await print(JSON.stringify({ info: file.info, metadata, types, tensors, plan }));
  else await printInspection(file.info, metadata, types, plan);
  await file.close();
}

/** @param {any} info @param {Record<string, string>} metadata @param {Record<string, { tensors: number, bytes: number }>} types @param {any} plan */
async function printInspection(info, metadata, types, plan) {
  await print(`GGUF v${info.version}, ${megabytes(info.fileBytes)}, ${info.tensors} tensors, ${info.pairs} metadata pairs\n`);
  for (const [key, value] of Object.entries(metadata)) await print(`${key.padEnd(44)} ${value}`);
  await print('\ntensors by type');
  for (const [type, t] of Object.entries(types)) await print(`  ${type.padEnd(10)} ${String(t.tensors).padStart(5)}  ${megabytes(t.bytes)}`);
  await print('\nmemory plan');
  if (plan.error) await print(`  not loadable: ${plan.error}`);
  else for (const name of ['weights', 'vocab', 'staging', 'total', 'available']) await print(`  ${name.padEnd(10)} ${megabytes(plan[name])}`);
}

/** @type {Record<string, { run: (v: Values, args: string[]) => Promise<void>, options: any }>} */
const commands = {
  embed: { run: embed, options: modelOptions },
  similarity: { run: similarity, options: modelOptions },
  tokenize: { run: tokenize, options: modelOptions },
  inspect: { run: inspect, options: common },
};

/** @param {string[]} argv @returns {Promise<number>} the exit code */
async function main(argv) {
  const [name, ...rest] = argv;
  if (name === '--version') return print(version).then(() => 0);
  if (!name || name === '--help' || name === '-h' || rest.includes('--help') || rest.includes('-h')) {
    await print(help);
    return name ? 0 : 2;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new UsageError(`unknown command '${name}'`);
  let parsed;
  try {
    parsed = parseArgs({ args: rest, options: command.options, allowPositionals: true });
  } catch (e) {
    throw new UsageError(/** @type {Error} */ (e).message);
  }
  await command.run(parsed.values, parsed.positionals);
  return 0;
}

process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ e) => process.exit(e.code === 'EPIPE' ? 0 : 1));
main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (e) => {
    const usage = e instanceof UsageError || e instanceof SyntaxError || (e instanceof GgufError && e.kind === 'argument');
    process.stderr.write(`gguf-stream: ${e.code ? `${e.code}: ` : ''}${e.message}\n${usage ? 'See gguf-stream --help\n' : ''}`);
    process.exitCode = usage ? 2 : 1;
  },
);
