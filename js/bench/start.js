// A fresh process from its start to its first vector, run as `node start.js '{"model": …}'` by start() below. It prints
// one line of JSON: the times, or { error: { code, kind, field, offset, message } }.

const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
const { GgufError } = require('../errors');
const { median } = require('./measure');

/** @typedef {{ node: number, require: number, library: number, load: number, first: number, total: number }} Start milliseconds */

/** @param {import('../index.js').LoadOptions} options @returns {Promise<Start>} */
async function once(options) {
  const times = [performance.now()];
  const stamp = () => times.push(performance.now());
  const { loadEmbedder, kernels } = require('..');
  stamp();
  kernels(); // loads the library
  stamp();
  const embedder = loadEmbedder(options);
  await embedder.ready();
  stamp();
  await embedder.embed('The harbour was silent before the morning shift.');
  stamp();
  const [node, ...parts] = times.map((t, i) => t - (times[i - 1] ?? 0));
  return { node, require: parts[0], library: parts[1], load: parts[2], first: parts[3], total: times[times.length - 1] };
}

/** Node's options of this process, permissions among them; a debugger's port is taken by this one. */
const nodeOptions = () => process.execArgv.filter((a) => !a.startsWith('--inspect'));

/** Of a child that printed nothing. @param {any} e execFile's */
function failed({ code, signal, stderr, message }) {
  const how = signal || typeof code === 'number' ? `ended with ${signal ?? `exit code ${code}`}` : `could not be started: ${message}`;
  const said = String(stderr ?? '')
    .trim()
    .split('\n')[0];
  return new Error(`a process whose start is measured ${how}${said && `: ${said}`}`);
}

/** @param {import('../index.js').LoadOptions} options @returns {Promise<Start>} */
async function inProcess(options) {
  const args = [...nodeOptions(), __filename, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(process.execPath, args).catch((e) => {
    throw failed(e);
  });
  const { error, ...times } = JSON.parse(stdout.trim().split('\n').at(-1) ?? ''); // modules that --require names may print too
  if (error) throw error.code ? new GgufError(error) : new Error(error.message);
  return times;
}

/** Medians over some processes. @param {import('../index.js').LoadOptions} options @param {number} processes @returns {Promise<Start>} */
async function start(options, processes) {
  /** @type {Start[]} */
  const all = [];
  for (let i = 0; i < processes; i++) all.push(await inProcess(options));
  const names = /** @type {(keyof Start)[]} */ (Object.keys(all[0]));
  return /** @type {Start} */ (Object.fromEntries(names.map((name) => [name, median(all.map((s) => s[name]))])));
}

module.exports = { start };

/** @param {any} e */
const told = ({ code, kind, field, offset, message }) => ({ error: { code, kind, field, offset, message } });

if (require.main === module)
  once(JSON.parse(process.argv[2]))
    .catch(told)
    .then((s) => console.log(JSON.stringify(s)));
