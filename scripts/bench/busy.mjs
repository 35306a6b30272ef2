#!/usr/bin/env node
// One text at a time while other processes hold the cores; see README.md. Rounds visit one and two threads in turn.

import { fork, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..', '..');
const require = createRequire(import.meta.url);
const { latency, median } = require(path.join(root, 'js', 'bench', 'measure.js'));

const { values: arg } = parseArgs({
  strict: process.argv[2] !== 'child',
  options: {
    model: { type: 'string' },
    precision: { type: 'string', default: 'exact' },
    tokens: { type: 'string', default: '16' },
    busy: { type: 'string', default: `0,${os.availableParallelism()},${2 * os.availableParallelism()}` },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
});
const numbers = (/** @type {string} */ list) => list.split(',').map(Number);

/** In a process of its own: one embedder, one text at a time. */
async function child() {
  const { threads, ...job } = JSON.parse(process.argv[3]);
  const embedder = require(root).loadEmbedder({ threads, precision: job.precision, ...(job.model && { model: job.model }) });
  process.send?.(await latency(embedder, job.tokens, job.seconds));
  await embedder.close();
}

/** Processes that do nothing but hold a core each. @param {number} count */
const holders = (count) => Array.from({ length: count }, () => spawn(process.execPath, ['-e', 'for(;;);'], { stdio: 'ignore' }));

/** @param {object} job @returns {Promise<import('../../js/bench/measure').Latency>} */
function measure(job) {
  const one = fork(import.meta.filename, ['child', JSON.stringify(job)]);
  return new Promise((resolve, reject) => {
    one.once('message', (l) => resolve(/** @type {any} */ (l)));
    one.once('exit', (code, signal) => reject(new Error(`a measurement ended without an answer: ${signal ?? code}`)));
  });
}

async function main() {
  const rows = [];
  for (const busy of numbers(arg.busy)) {
    const held = holders(busy);
    try {
      /** @type {{ threads: number, l: import('../../js/bench/measure').Latency }[]} */
      const seen = [];
      for (let round = 0; round < Number(arg.rounds); round++)
        for (const threads of numbers(arg.threads))
          seen.push({
            threads,
            l: await measure({ threads, model: arg.model, precision: arg.precision, tokens: Number(arg.tokens), seconds: Number(arg.seconds) }),
          });
      for (const threads of numbers(arg.threads)) {
        const mine = seen.filter((s) => s.threads === threads).map((s) => s.l);
        const [p50, p95, cpuMs] = /** @type {const} */ (['p50', 'p95', 'cpuMs']).map((key) => median(mine.map((l) => l[key])));
        rows.push({ busy, threads, p50, p95, cpuMs });
      }
    } finally {
      for (const h of held) h.kill();
    }
  }
  if (arg.json) console.log(JSON.stringify({ ...arg, cores: os.availableParallelism(), rows }));
  else {
    const cells = (/** @type {(string | number)[]} */ c) =>
      `| ${c.map((x) => (typeof x === 'number' && !Number.isInteger(x) ? x.toPrecision(3) : x)).join(' | ')} |`;
    console.log(
      [cells(['busy processes', 'threads', 'median ms', 'p95 ms', 'CPU ms']), '|---:|---:|---:|---:|---:|', ...rows.map((r) => cells(Object.values(r)))].join(
        '\n',
      ),
    );
  }
}

await (process.argv[2] === 'child' ? child() : main());
