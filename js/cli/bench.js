const fs = require('node:fs');
const os = require('node:os');
const { version } = require('../index');
const { Kind, call, closeTarget, native } = require('../native');
const { latency, loopDelay, throughput, workloads } = require('../bench/measure');
const { start } = require('../bench/start');
const { svg, textBars } = require('../bench/chart');
const { UsageError, common, embedderOptions, embedderOf, megabytes, print } = require('./common');

/**
 * @import { Embedder } from '../index.js'
 * @typedef {import('../bench/measure').Latency} Latency
 * @typedef {import('../bench/measure').Throughput} Throughput
 * @typedef {{
 *   set: string, peaks: { name: string, loop: string, gops: number }[],
 *   shares: { texts: number, tokens: number, share: number, tokensPerSec: number }[],
 * }} Peak of one thread; a set without loops has no peaks and no shares
 * @typedef {{
 *   version: string, when: string, machine: Record<string, string | number>, model: Record<string, string | number>,
 *   start: import('../bench/start').Start, latency: Latency[], throughput: Throughput[],
 *   loopDelay: import('../bench/measure').Delay, peak: Peak, memory: Record<string, number>,
 * }} Report milliseconds and bytes
 */

const lengths = [8, 16, 64, 128, 512, 2048];
const processes = 3;

/** @param {Embedder} embedder @param {number} rssBefore */
function memoryOf(embedder, rssBefore) {
  const { purposes, goHeap, v8 } = embedder.memory();
  const { weights, vocab, activations } = purposes;
  return { rssGrowth: process.memoryUsage.rss() - rssBefore, weights, vocab, activations, goHeap, v8Heap: v8.used };
}

/** How near the encoder comes to the processor's peaks. @param {import('../index.js').ModelInfo} info @param {number} seconds @returns {Promise<Peak>} */
async function peak({ path, precision }, seconds) {
  const { target } = await call(Kind.open, { core: native(), request: { path, precision } }); // shares the loaded weights
  const opened = /** @type {import('../native').Target} */ (target);
  try {
    return (await call(Kind.peak, { target: opened, request: { milliseconds: Math.round(seconds * 1000) } })).reply;
  } finally {
    await closeTarget(Kind.close, opened);
  }
}

function machine() {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? '',
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    node: process.version,
    system: `${process.platform}-${process.arch}`,
  };
}

/** @param {import('./common').Values} v @param {number} seconds @returns {Promise<Report>} */
async function measure(v, seconds) {
  const rss = process.memoryUsage.rss();
  const begun = await start(embedderOptions(v), processes);
  const embedder = embedderOf(v);
  await embedder.ready();
  const info = /** @type {import('../index.js').ModelInfo} */ (embedder.info);
  const { name, fileBytes, parameters, precision, kernels } = info;
  const threads = v.threads === undefined ? os.availableParallelism() : Number(v.threads);
  /** @type {Report} */
  const report = {
    version,
    when: new Date().toISOString(),
    machine: machine(),
    model: { name, fileBytes, parameters, precision, kernels, threads },
    start: begun,
    latency: [],
    throughput: [],
    loopDelay: { p99: 0, max: 0 },
    peak: { set: '', peaks: [], shares: [] },
    memory: {},
  };
  const fitting = workloads.filter((w) => Math.max(...w.lengths()) <= info.maxTokens);
  for (const n of lengths) if (n <= info.maxTokens) report.latency.push(await latency(embedder, n, seconds));
  for (const w of fitting) report.throughput.push(await throughput(embedder, w, seconds));
  if (fitting.length > 0) report.loopDelay = await loopDelay(embedder, fitting[fitting.length - 1], seconds);
  report.peak = await peak(info, seconds);
  report.memory = memoryOf(embedder, rss);
  await embedder.close();
  return report;
}

/** @param {Report} r @param {Report | undefined} before */
async function show(r, before) {
  const ms = (/** @type {number} */ x) => `${x.toPrecision(3)} ms`;
  const change = (/** @type {number} */ now, /** @type {number | undefined} */ then) =>
    then ? `  ${now > then ? '+' : ''}${(100 * (now / then - 1)).toFixed(0)} %` : '';
  await print(`${r.model.name}, ${r.model.precision}, ${r.model.threads} thread(s), ${r.model.kernels}; ${r.machine.cpu}, ${r.machine.cores} cores\n`);
  await print(`start to first vector ${ms(r.start.total)}${change(r.start.total, before?.start.total)}`);
  for (const part of /** @type {const} */ (['node', 'require', 'library', 'load', 'first']))
    await print(`  ${part.padEnd(8)} ${ms(r.start[part]).padStart(9)}`);
  await print('\nlatency of one text     p50       p95       p99');
  for (const l of r.latency) {
    const then = before?.latency.find((b) => b.tokens === l.tokens);
    await print(`  ${`${l.tokens} tokens`.padEnd(12)} ${[l.p50, l.p95, l.p99].map((x) => ms(x).padStart(9)).join(' ')}${change(l.p50, then?.p50)}`);
  }
  await print('\nthroughput');
  const bars = textBars(throughputBars(r), 'tokens/s');
  for (const [i, t] of r.throughput.entries()) {
    const then = before?.throughput.find((b) => b.name === t.name);
    await print(`${bars[i]}${change(t.tokensPerSecond, then?.tokensPerSecond)}`);
  }
  await showPeak(r.peak, before?.peak, change);
  await print(`\nevent loop meanwhile   p99 ${ms(r.loopDelay.p99)}, longest ${ms(r.loopDelay.max)}`);
  await print('\nmemory');
  for (const [name, bytes] of Object.entries(r.memory)) await print(`  ${name.padEnd(12)} ${megabytes(bytes)}${change(bytes, before?.memory[name])}`);
}

/**
 * @param {Peak} p
 * @param {Peak | undefined} before
 * @param {(now: number, then: number | undefined) => string} change
 */
async function showPeak(p, before, change) {
  if (p.peaks.length === 0) return print(`\nshare of peak          there is no peak loop for the set ${p.set}`);
  await print(`\nshare of peak of one thread: ${p.peaks.map((x) => `${x.name} ${Math.round(x.gops)} (${x.loop})`).join(', ')} Gop/s`);
  const bars = textBars(peakBars(p), '%');
  for (const [i, s] of p.shares.entries()) {
    const then = before?.shares.find((b) => b.texts === s.texts && b.tokens === s.tokens);
    await print(`${bars[i]}${change(s.share, then?.share)}`);
  }
}

/** @param {Peak} p */
const peakBars = (p) => p.shares.map((s) => ({ label: `${s.texts} × ${s.tokens}`, value: 100 * s.share }));

/** @param {Report} r */
const throughputBars = (r) => r.throughput.map((t) => ({ label: t.name, value: t.tokensPerSecond }));

/** @param {Report} r */
const drawing = (r) =>
  svg(`${r.model.name}, ${r.model.precision}, ${r.model.threads} thread(s), ${r.machine.cpu}`, [
    { unit: 'tokens/s', bars: throughputBars(r) },
    { unit: 'ms for one text (p50)', bars: r.latency.map((l) => ({ label: `${l.tokens} tokens`, value: l.p50 })) },
    ...(r.peak.shares.length > 0 ? [{ unit: '% of peak', bars: peakBars(r.peak) }] : []),
  ]);

/** A report that was saved. @param {string} file @returns {Report} */
function readReport(file) {
  const report = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!Array.isArray(report?.throughput) || !report.start) throw new UsageError(`${file} is no report of bench --save`);
  return report;
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'bench [MODEL]',
  summary: 'start, latency, throughput, share of peak, memory; --save F, --compare F, --svg F, --seconds S',
  options: {
    ...common,
    model: { type: 'string', short: 'm' },
    precision: { type: 'string' },
    threads: { type: 'string' },
    seconds: { type: 'string' },
    save: { type: 'string' },
    compare: { type: 'string' },
    svg: { type: 'string' },
  },
  async run(v, args) {
    if (args.length > 1 || (args.length === 1 && v.model !== undefined)) throw new UsageError('bench takes one model');
    const seconds = Number(v.seconds ?? 1);
    if (!(seconds > 0)) throw new UsageError(`--seconds ${v.seconds}: a time per measurement was expected`);
    const before = v.compare === undefined ? undefined : readReport(v.compare);
    const report = await measure({ ...v, model: args[0] ?? v.model }, seconds);
    if (v.json) await print(JSON.stringify(before ? { ...report, before } : report));
    else await show(report, before);
    if (v.save !== undefined) fs.writeFileSync(v.save, `${JSON.stringify(report, null, 1)}\n`);
    if (v.svg !== undefined) fs.writeFileSync(v.svg, drawing(report));
  },
};
