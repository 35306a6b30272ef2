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

/** Numbers of an option, or the end with code 2. @param {'busy' | 'threads' | 'rounds' | 'seconds' | 'tokens'} name @param {number} least @param {boolean} [many] @returns {number[]} */
function numbers(name, least, many = false) {
  const list = arg[name].split(',').map((text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN));
  const right = list.every((n) => n >= least && (name === 'seconds' || Number.isSafeInteger(n)));
  if (right && (many || list.length === 1)) return list;
  console.error(`--${name} is ${JSON.stringify(arg[name])}; wanted ${many ? 'numbers with commas between them' : 'a number'}, ${least} at least`);
  process.exit(2);
}

/** In a process of its own: one embedder, one text at a time. */
async function child() {
  const { threads, ...job } = JSON.parse(process.argv[3]);
  const embedder = require(root).loadEmbedder({ threads, precision: job.precision, ...(job.model && { model: job.model }) });
  process.send?.(await latency(embedder, job.tokens, job.seconds));
  await embedder.close();
}

// A holder ends when its parent has gone, however that ended: another process is its parent then.
const hold = 'for (const parent = process.ppid; process.ppid === parent; ) for (const end = Date.now() + 100; Date.now() < end; );';

/** Processes that do nothing but hold a core each. @param {number} count */
const holders = (count) => Array.from({ length: count }, () => spawn(process.execPath, ['-e', hold], { stdio: 'ignore' }));

/** The share of the cores that nothing holds, over a second. */
async function idleShare() {
  const sum = () => os.cpus().reduce(([idle, all], { times }) => [idle + times.idle, all + Object.values(times).reduce((a, b) => a + b)], [0, 0]);
  const [idle, all] = sum();
  await new Promise((r) => setTimeout(r, 1000));
  const [idleNow, allNow] = sum();
  return (idleNow - idle) / (allNow - all);
}

/** @param {object} job @returns {Promise<import('../../js/bench/measure').Latency>} */
function measure(job) {
  const one = fork(import.meta.filename, ['child', JSON.stringify(job)]);
  return new Promise((resolve, reject) => {
    one.once('message', (l) => resolve(/** @type {any} */ (l)));
    one.once('exit', (code, signal) => reject(new Error(`a measurement ended without an answer: ${signal ?? code}`)));
  });
}

async function main() {
  const [busyCounts, threadCounts] = [numbers('busy', 0, true), numbers('threads', 1, true)];
  const [[rounds], [tokens], [seconds]] = [numbers('rounds', 1), numbers('tokens', 3), numbers('seconds', 0)];
  const rows = [];
  for (const busy of busyCounts) {
    const idle = await idleShare();
    console.error(`before ${busy} busy processes ${(100 * idle).toFixed(0)} % of the cores are idle`);
    const held = holders(busy);
    const stop = () => {
      for (const h of held) h.kill('SIGKILL');
    };
    const end = (/** @type {NodeJS.Signals} */ signal) => {
      stop();
      process.exit(128 + os.constants.signals[signal]);
    };
    process.once('SIGTERM', end).once('SIGINT', end);
    try {
      /** @type {{ threads: number, l: import('../../js/bench/measure').Latency }[]} */
      const seen = [];
      for (let round = 0; round < rounds; round++)
        for (const threads of threadCounts) seen.push({ threads, l: await measure({ threads, model: arg.model, precision: arg.precision, tokens, seconds }) });
      for (const threads of threadCounts) {
        const mine = seen.filter((s) => s.threads === threads).map((s) => s.l);
        const [p50, p95, cpuMs] = /** @type {const} */ (['p50', 'p95', 'cpuMs']).map((key) => median(mine.map((l) => l[key])));
        rows.push({ busy, idle, threads, p50, p95, cpuMs });
      }
    } finally {
      stop();
      process.off('SIGTERM', end).off('SIGINT', end);
    }
  }
  if (arg.json) console.log(JSON.stringify({ ...arg, cores: os.availableParallelism(), rows }));
  else {
    const cells = (/** @type {(string | number)[]} */ c) =>
      `| ${c.map((x) => (typeof x === 'number' && !Number.isInteger(x) ? x.toPrecision(3) : x)).join(' | ')} |`;
    console.log(
      [
        cells(['busy processes', 'idle before', 'threads', 'median ms', 'p95 ms', 'CPU ms']),
        '|---:|---:|---:|---:|---:|---:|',
        ...rows.map((r) => cells(Object.values({ ...r, idle: `${(100 * r.idle).toFixed(0)} %` }))),
      ].join('\n'),
    );
  }
}

await (process.argv[2] === 'child' ? child() : main());
