// A fresh process from its start to its first vector, run as `node start.js '{"model": …}'` by start() below.

const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
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

/** Medians over some processes. @param {import('../index.js').LoadOptions} options @param {number} processes @returns {Promise<Start>} */
async function start(options, processes) {
  /** @type {Start[]} */
  const all = [];
  for (let i = 0; i < processes; i++) {
    const { stdout } = await promisify(execFile)(process.execPath, [__filename, JSON.stringify(options)]);
    all.push(JSON.parse(stdout));
  }
  const names = /** @type {(keyof Start)[]} */ (Object.keys(all[0]));
  return /** @type {Start} */ (Object.fromEntries(names.map((name) => [name, median(all.map((s) => s[name]))])));
}

module.exports = { start };

if (require.main === module) once(JSON.parse(process.argv[2])).then((s) => console.log(JSON.stringify(s)));
