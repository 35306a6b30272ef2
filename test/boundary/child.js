// Scenarios that may end a process run in one of their own, which must end by itself with exit 0.

const { spawnSync } = require('node:child_process');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
// the addon that the package loads: scripts/sanitize.sh gives another
const addon = path.resolve(process.env.GGUF_STREAM_BINARY ?? path.join(root, 'build', 'native', 'gguf_stream.node'));

const preamble = `
  const g = require(${JSON.stringify(root)});
  const { Worker } = require('node:worker_threads');
  const { spawn, execFileSync } = require('node:child_process');
  const fs = require('node:fs');
  const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
  const fail = (what) => { throw new Error(what); };
  // a worker that runs code over the package; resolves with its exit code
  const inWorker = (code, workerData) => new Worker('const g = require(' + JSON.stringify(${JSON.stringify(root)}) + '); const { parentPort, workerData: i } = require("node:worker_threads");' + code, { eval: true, workerData });
  // the core's Go and C threads at work until stop() is awaited
  const busy = () => {
    let on = true;
    const e = g.loadEmbedder();
    const long = 'words, and more words, '.repeat(4000);
    const lanes = [0, 1, 2, 3].map(async (k) => { while (on) await (k ? e.countTokens(long) : e.embedMany(Array(16).fill('some words to work on'))); });
    return { e, stop: async () => { on = false; await Promise.all(lanes); await e.close(); } };
  };
  // signals from outside, as fast as a shell sends them: the kernel spreads them over the threads
  const storm = (ms, signals) => new Promise((r) => spawn('timeout', [String(ms / 1000), 'sh', '-c', 'while :; do ' + signals.map((s) => 'kill -s ' + s + ' $0').join('; ') + '; done', String(process.pid)], { stdio: 'ignore' }).on('exit', r));
  const children = async (ms) => { let n = 0; for (const end = Date.now() + ms; Date.now() < end; n++) await new Promise((r) => spawn('/bin/true', { stdio: 'ignore' }).on('exit', r)); return n; };
`;

/**
 * @param {string} code
 * @param {{ args?: string[], shell?: string, timeout?: number, env?: Record<string, string>, as?: string[] }} [o]
 * shell runs before node in the same shell; as is a command in front of it
 */
function child(code, o = {}) {
  const node = [process.execPath, ...(o.args ?? []), '-e', preamble + code];
  const inner = o.shell ? ['sh', '-c', `${o.shell}; exec "$0" "$@"`, ...node] : node;
  const [command, ...args] = [...(o.as ?? []), ...inner];
  const r = spawnSync(command, args, { encoding: 'utf8', timeout: o.timeout ?? 60000, env: { ...process.env, ...o.env } });
  return { end: r.signal ?? r.status, out: r.stdout.trim(), err: r.stderr };
}

/** @param {string} code @param {Parameters<typeof child>[1]} [o] what it printed */
function expectOk(code, o) {
  const r = child(code, o);
  expect(r).toMatchObject({ end: 0 });
  return r.out;
}

module.exports = { addon, child, expectOk, root };
