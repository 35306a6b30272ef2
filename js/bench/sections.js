// The sections of a report in their order: how each is measured and how it is shown.

const { Kind } = require('../kinds');
const { call, closeTarget, native } = require('../native');
const { megabytes } = require('../cli/common');
const { latency, loopDelay, throughput, workloads } = require('./measure');
const { start } = require('./start');
const { printable } = require('../printable');
const { short, svg, textBars } = require('./chart');
const { change } = require('./report');

/**
 * @import { Embedder, LoadOptions, ModelInfo } from '../index.js'
 * @import { Peak, Report } from './report'
 * @import { Bar } from './chart'
 * @typedef {{ embedder: Embedder, info: ModelInfo, options: LoadOptions, seconds: number, rss: number, isChild: boolean }} Subject
 *   rss: of this process before the load; isChild: the core is a process of its own, whose RSS and CPU time this one does not know
 * @typedef {{ before?: Report, columns?: number }} View
 * @typedef {{ name: keyof Report, measure: (s: Subject) => Promise<any>, lines: (r: Report, v: View) => string[] }} Section
 */

const lengths = [8, 16, 64, 128, 512, 2048];
const processes = 3;

/** @param {number} x */
const ms = (x) => `${short(x)} ms`;

/** @param {number | null} now @param {number | null | undefined} then */
function noted(now, then) {
  const percent = change(now, then);
  return percent && `  ${percent}`;
}

/** @param {Subject} s */
const fitting = ({ info }) => workloads.filter((w) => Math.max(...w.lengths()) <= info.maxTokens);

/** One after another. @template T, U @param {T[]} list @param {(one: T) => Promise<U>} measure */
async function each(list, measure) {
  const results = [];
  for (const one of list) results.push(await measure(one));
  return results;
}

/** @type {Section} */
const startSection = {
  name: 'start',
  measure: ({ options }) => start(options, processes),
  lines: ({ start: s }, { before }) => [
    `start to first vector ${ms(s.total)}${noted(s.total, before?.start.total)}, medians of ${processes} processes`,
    .../** @type {const} */ (['node', 'require', 'library', 'load', 'first']).map((part) => `  ${part.padEnd(8)} ${ms(s[part]).padStart(9)}`),
  ],
};

const quantiles = /** @type {const} */ (['p50', 'p95', 'p99']);

/** @type {Section} */
const latencySection = {
  name: 'latency',
  async measure(s) {
    const rows = await each(
      lengths.filter((n) => n <= s.info.maxTokens),
      (n) => latency(s.embedder, n, s.seconds),
    );
    return s.isChild ? rows.map(({ cpuMs: _, ...row }) => row) : rows;
  },
  lines(r, { before }) {
    const room = before ? 8 : 0;
    const head = quantiles.map((q) => q.padStart(9) + ' '.repeat(room)).join('');
    const rows = r.latency.map((l) => {
      const then = before?.latency.find((b) => b.tokens === l.tokens);
      const notes = quantiles.map((q) => (before ? ` ${change(l[q], then?.[q]).padStart(room - 1)}` : ''));
      const cells = quantiles.map((q, i) => (l[q] === null ? '-' : ms(l[q])).padStart(9) + notes[i]);
      return `${`  ${l.tokens} tokens`.padEnd(20)}${cells.join('')}${String(l.calls).padStart(8)}`;
    });
    return [`${'latency of one text'.padEnd(20)}${head}   calls`, ...rows];
  },
};

const noneFits = 'the texts of every workload are longer than the model takes';

/** @param {Report} r @param {Report} [before] @returns {Bar[]} */
const throughputBars = (r, before) =>
  r.throughput.map(({ name, tokensPerSecond }) => {
    const then = before?.throughput.find((b) => b.name === name);
    return { label: name, value: tokensPerSecond, note: noted(tokensPerSecond, then?.tokensPerSecond) };
  });

/** @type {Section} */
const throughputSection = {
  name: 'throughput',
  async measure(s) {
    const rows = await each(fitting(s), (w) => throughput(s.embedder, w, s.seconds));
    return s.isChild ? rows.map(({ cpuMsPerText: _, ...row }) => row) : rows;
  },
  lines(r, { before, columns }) {
    if (r.throughput.length === 0) return [`throughput             ${noneFits}`];
    return ['throughput', ...textBars({ unit: 'tokens/s', bars: throughputBars(r, before) }, columns)];
  },
};

/** @type {Section} */
const loopSection = {
  name: 'loopDelay',
  async measure(s) {
    const longest = fitting(s).at(-1);
    return longest ? loopDelay(s.embedder, longest, s.seconds) : { p99: 0, max: 0 };
  },
  lines: ({ throughput: t, loopDelay: d }, { before }) => {
    if (t.length === 0) return [`event loop meanwhile   ${noneFits}`];
    const [p99, max] = /** @type {const} */ (['p99', 'max']).map((key) => `${ms(d[key])}${noted(d[key], before?.loopDelay[key])}`);
    return [`event loop meanwhile   p99 ${p99}, longest ${max}`];
  },
};

/** How near the encoder comes to the processor's peaks. @param {Subject} s @returns {Promise<Peak>} */
async function peak({ info: { path, precision }, seconds }) {
  const { target } = await call(Kind.open, { core: native(), request: { path, precision } }); // shares the loaded weights
  const opened = /** @type {import('../native').Target} */ (target);
  try {
    return (await call(Kind.peak, { target: opened, request: { milliseconds: Math.ceil(seconds * 1000) } })).reply;
  } finally {
    await closeTarget(Kind.close, opened);
  }
}

/** @param {Peak} p @param {Peak} [before] @returns {Bar[]} */
const peakBars = (p, before) =>
  p.shares.map(({ texts, tokens, share }) => {
    const then = before?.shares.find((b) => b.texts === texts && b.tokens === tokens);
    return { label: `${texts} × ${tokens}`, value: 100 * share, note: noted(share, then?.share) };
  });

/** @type {Section} */
const peakSection = {
  name: 'peak',
  measure: peak,
  lines({ peak: p }, { before, columns }) {
    if (p.peaks.length === 0) return [`share of peak          there is no peak loop for the set ${p.set}`];
    const peaks = p.peaks.map((x) => `${x.name} ${Math.round(x.gops)} (${x.loop})`).join(', ');
    return [`share of peak of one thread: ${peaks} Gop/s`, ...textBars({ unit: '%', bars: peakBars(p, before?.peak), most: 100 }, columns)];
  },
};

/** What is not plain by its name. @type {Record<string, string>} */
const remarks = {
  rssGrowth: "the process's, since before the load",
  activations: 'workspaces left after the last batch, for the next',
};

/** @type {Section} */
const memorySection = {
  name: 'memory',
  async measure({ embedder, rss, isChild }) {
    const { purposes, goHeap, v8 } = embedder.memory();
    const { weights, vocab, activations } = purposes;
    const growth = isChild ? {} : { rssGrowth: process.memoryUsage.rss() - rss };
    return { ...growth, weights, vocab, activations, goHeap, v8Heap: v8.used };
  },
  lines(r, { before }) {
    const rows = Object.entries(r.memory).map(([name, bytes]) => {
      const size = megabytes(bytes) + noted(bytes, before?.memory[name]);
      return `  ${name.padEnd(12)} ${remarks[name] ? `${size.padEnd(18)} ${remarks[name]}` : size}`;
    });
    const child = r.core === 'process' ? ['  the core runs in a child process, whose RSS and CPU time are not measured'] : [];
    return ['memory', ...rows, ...child];
  },
};

const sections = [startSection, latencySection, throughputSection, loopSection, peakSection, memorySection];

/** @param {Report} r */
const title = ({ model: m, machine }) => printable(`${m.name}, ${m.precision}, ${m.threads} thread(s), ${m.kernels}; ${machine.cpu}, ${machine.cores} cores`);

/** @param {Report} r */
const drawing = (r) =>
  svg(title(r), [
    { unit: 'tokens/s', bars: throughputBars(r) },
    { unit: 'ms for one text (p50)', bars: r.latency.map((l) => ({ label: `${l.tokens} tokens`, value: l.p50 })) },
    ...(r.peak.shares.length > 0 ? [{ unit: '% of peak', bars: peakBars(r.peak), most: 100 }] : []),
  ]);

module.exports = { drawing, sections, title };
