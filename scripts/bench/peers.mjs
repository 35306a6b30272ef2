#!/usr/bin/env node
// gguf-stream and its peers on the same workloads, in one interleaved run; see README.md.

import { execFileSync, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { packages, subjects } from './subjects.mjs';

const { median } = createRequire(import.meta.url)('../../js/bench/measure.js');
const here = import.meta.dirname;

const { values: arg } = parseArgs({
  options: {
    model: { type: 'string', default: path.join(here, '..', '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf') },
    onnx: { type: 'string' },
    cache: { type: 'string', default: path.join(os.homedir(), '.cache', 'gguf-stream-bench') },
    subjects: { type: 'string', default: Object.keys(subjects).join(',') },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    scale: { type: 'string', default: '1' },
    out: { type: 'string', default: path.join(here, 'results', 'latest.json') },
    append: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** A number, or the end with code 2. @param {'threads' | 'rounds' | 'seconds' | 'scale'} name @param {(n: number) => boolean} right @param {string} wanted */
function number(name, right, wanted) {
  const n = arg[name].trim() === '' ? Number.NaN : Number(arg[name]);
  if (Number.isFinite(n) && right(n)) return n;
  return refuse(`--${name} is ${JSON.stringify(arg[name])}; wanted ${wanted}`);
}

/** @param {string} why @returns {never} */
function refuse(why) {
  console.error(why);
  process.exit(2);
}

const whole = (/** @type {number} */ n) => Number.isInteger(n) && n >= 1;
const threads = number('threads', whole, 'a whole number, 1 at least');
const rounds = number('rounds', whole, 'a whole number, 1 at least');
const seconds = number('seconds', (n) => n >= 0, 'seconds, 0 at least');
const scale = number('scale', (n) => n > 0 && n <= 1, 'a share of the texts, above 0 and at most 1');

/** Installs a peer alone in its folder, once, without running install scripts. @param {string} peer */
function folderOf(peer) {
  const folder = path.join(arg.cache, peer);
  const manifest = JSON.stringify({ private: true, dependencies: packages[peer] });
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(path.join(folder, 'node_modules')) && fs.existsSync(file) && fs.readFileSync(file, 'utf8') === manifest) return folder;
  console.error(`installing ${peer} into ${folder}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(file, manifest);
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: 'inherit' });
  return folder;
}

/** One subject in a fresh process. @param {string} subject */
function measure(subject) {
  const { peer } = subjects[subject];
  const options = { model: path.resolve(arg.model), onnx: arg.onnx && path.resolve(arg.onnx), threads, folder: peer && folderOf(peer) };
  const startedAt = performance.timeOrigin + performance.now();
  const child = fork(path.join(here, 'child.mjs'), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  child.send({ subject, options, seconds, scale });
  return new Promise((resolve, reject) => {
    child.once('message', ({ firstAt, ...rest }) => resolve({ subject, startMs: firstAt - startedAt, ...rest }));
    child.once('exit', (code, signal) => reject(new Error(`${subject} ended without an answer: ${signal ?? code}`)));
  });
}

/** What all rounds of a file have in common. */
function conditions() {
  const digest = createHash('sha256').update(fs.readFileSync(arg.model)).digest('hex');
  return { threads, scale, model: { file: path.basename(arg.model), sha256: digest } };
}

function readRun() {
  if (arg.table) return JSON.parse(fs.readFileSync(arg.out, 'utf8'));
  const mine = conditions();
  if (arg.append) {
    const run = JSON.parse(fs.readFileSync(arg.out, 'utf8'));
    for (const [name, value] of Object.entries(mine))
      if (JSON.stringify(run[name]) !== JSON.stringify(value))
        refuse(`--append: ${name} of ${arg.out} is ${JSON.stringify(run[name])}, now ${JSON.stringify(value)}: medians of both would be of neither`);
    return run;
  }
  const machine = { cpu: os.cpus()[0].model.trim(), cores: os.cpus().length, node: process.version, system: `${process.platform}-${process.arch}` };
  return { when: new Date().toISOString(), machine, packages, ...mine, runs: [] };
}

const ratios = [
  ['onnxruntime f32 ÷ exact', 'onnxF32', 'exact'],
  ['int8 ÷ fast', 'onnxInt8', 'fast'],
  ['int8 ÷ exact', 'onnxInt8', 'exact'],
  ['node-llama-cpp ÷ exact', 'llamaCpp', 'exact'],
  ['÷ fast', 'llamaCpp', 'fast'],
];

const markdown = (head, rows) => [head, head.map((_, i) => (i ? '---:' : '---')), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Medians over the rounds, and the ratios of them. */
function report({ when, machine, threads, runs }) {
  const names = Object.keys(subjects).filter((s) => runs.some((r) => r.subject === s));
  const of = (subject, get) => {
    const mine = runs.filter((r) => r.subject === subject);
    return mine.length ? median(mine.map(get)) : Number.NaN;
  };
  const figure = (x, digits = 3) => (Number.isNaN(x) ? '' : Number(x.toPrecision(digits)).toString());
  const value = (row, key) => (subject) => of(subject, (r) => r.rows.find((x) => x.name === row)[key]);
  const workloads = runs[0].rows.map((r) => r.name);
  const each = (key) => workloads.map((w) => [w, ...names.map((s) => figure(value(w, key)(s)))]);
  const ratioRows = workloads.map((w) => [w, ...ratios.map(([, peer, ours]) => figure(value(w, 'cpuMsPerText')(peer) / value(w, 'cpuMsPerText')(ours)))]);
  const lives = [
    ['start → first vector, ms', ...names.map((s) => figure(of(s, (r) => r.startMs)))],
    ['memory, MB', ...names.map((s) => figure(of(s, (r) => r.rss / 1e6)))],
  ];
  const most = Math.max(...names.map((s) => runs.filter((r) => r.subject === s).length));
  return [
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${when.slice(0, 10)}; ${threads} thread(s), medians of ${most} interleaved rounds.`,
    markdown(['CPU ms a text', ...names], each('cpuMsPerText')),
    markdown(['wall ms a text', ...names], each('msPerText')),
    markdown(['CPU time of', ...ratios.map(([title]) => title)], ratioRows),
    markdown(['', ...names], lives),
  ].join('\n\n');
}

const run = readRun();
const wanted = arg.subjects.split(',').filter((s) => {
  if (!subjects[s]) throw new Error(`no subject ${s}; there are ${Object.keys(subjects)}`);
  const possible = !s.startsWith('onnx') || arg.onnx || arg.table;
  if (!possible) console.error(`${s} is left out: give --onnx FOLDER (README.md says where from)`);
  return possible;
});
for (let round = 0; !arg.table && round < rounds; round++) {
  const before = run.runs.length / wanted.length; // --append goes on where the last run ended
  for (const subject of before % 2 >= 1 ? wanted.toReversed() : wanted) {
    console.error(`round ${round + 1}: ${subject}`);
    run.runs.push(await measure(subject));
  }
  fs.mkdirSync(path.dirname(arg.out), { recursive: true });
  fs.writeFileSync(arg.out, JSON.stringify(run));
}
console.log(arg.json ? JSON.stringify(run) : report(run));
