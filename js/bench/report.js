// A report of `gguf-stream bench`: what it holds, how a saved one is checked, and what two of them differ in.

const fs = require('node:fs');
const { UsageError, megabytes, withoutMark } = require('../cli/common');
const { printable } = require('../printable');

/**
 * @typedef {import('./measure').Latency} Latency
 * @typedef {import('./measure').Throughput} Throughput
 * @typedef {{
 *   set: string, peaks: { name: string, loop: string, gops: number }[],
 *   shares: { texts: number, tokens: number, share: number, tokensPerSec: number }[],
 * }} Peak of one thread; a set without loops has no peaks and no shares
 * @typedef {{
 *   version: string, when: string, core: 'addon' | 'process', machine: Record<string, string | number>, model: Record<string, string | number>,
 *   start: import('./start').Start, latency: Latency[], throughput: Throughput[],
 *   loopDelay: import('./measure').Delay, peak: Peak, memory: Record<string, number>,
 * }} Report milliseconds and bytes; where the core is a process of its own, without CPU times and rssGrowth
 * @typedef {{ expected: string, ok: (v: any) => boolean }} Check
 * @typedef {Check | [Shape] | { [name: string]: Shape }} Shape
 */

/** @type {Check} */
const text = { expected: 'a string', ok: (v) => typeof v === 'string' };
/** @type {Check} */
const number = { expected: 'a number, not below 0', ok: (v) => Number.isFinite(v) && v >= 0 };
/** @type {Check} */
const numberOrNull = { expected: 'a number or null', ok: (v) => v === null || number.ok(v) };
/** RSS may shrink. @type {Check} */
const sizes = {
  expected: 'an object of numbers',
  ok: (v) => typeof v === 'object' && v !== null && !Array.isArray(v) && Object.values(v).every(Number.isFinite),
};

/** What is read of a saved report. @type {Shape} */
const reportShape = {
  version: text,
  when: text,
  machine: { cpu: text, cores: number, node: text, system: text },
  model: { name: text, fileBytes: number, precision: text, kernels: text, threads: number },
  start: { node: number, require: number, library: number, load: number, first: number, total: number },
  latency: [{ tokens: number, p50: number, p95: number, p99: numberOrNull }],
  throughput: [{ name: text, tokensPerSecond: number }],
  loopDelay: { p99: number, max: number },
  peak: { shares: [{ texts: number, tokens: number, share: number }] },
  memory: sizes,
};

/** The first member that is not of its shape, and what it must be. @param {any} v @param {Shape} shape @param {string} at @returns {string | undefined} */
function problemOf(v, shape, at) {
  if (isCheck(shape)) return shape.ok(v) ? undefined : `${at} must be ${shape.expected}`;
  const list = Array.isArray(shape);
  if (typeof v !== 'object' || v === null || Array.isArray(v) !== list) return `${at} must be ${list ? 'an array' : 'an object'}`;
  /** @type {[string, any, Shape][]} */
  const members = list
    ? v.map((/** @type {any} */ e, /** @type {number} */ i) => [`${at}[${i}]`, e, shape[0]])
    : Object.entries(shape).map(([name, s]) => [at === 'it' ? name : `${at}.${name}`, v[name], s]);
  for (const [name, member, s] of members) {
    const problem = problemOf(member, s, name);
    if (problem) return problem;
  }
  return undefined;
}

/** @param {Shape} shape @returns {shape is Check} */
const isCheck = (shape) => 'ok' in shape;

/** A report that was saved. @param {string} file @returns {Report} */
function readReport(file) {
  let report;
  try {
    report = JSON.parse(withoutMark(fs.readFileSync(file, 'utf8')));
  } catch (e) {
    throw new UsageError(`--compare ${file}: ${printable(/** @type {Error} */ (e).message)}`);
  }
  const problem = problemOf(report, reportShape, 'it');
  if (problem) throw new UsageError(`--compare ${file}: no report of bench --save: ${problem}`);
  return report;
}

/** What figures depend on. @type {[string, (r: Report) => string][]} */
const conditions = [
  ['machine', ({ machine: m }) => `${m.cpu}, ${m.cores} cores, ${m.system}`],
  ['Node', (r) => String(r.machine.node)],
  ['model', ({ model: m }) => `${m.name} of ${megabytes(Number(m.fileBytes))}`],
  ['precision', (r) => String(r.model.precision)],
  ['threads', (r) => String(r.model.threads)],
  ['kernel set', (r) => String(r.model.kernels)],
  ['core', (r) => r.core ?? 'addon'],
  ['version', (r) => r.version],
];

/** One line. @param {Report} now @param {Report} before */
function differences(now, before) {
  const other = conditions.filter(([, of]) => of(now) !== of(before)).map(([name, of]) => `${name} ${of(now)} (was ${of(before)})`);
  const names = conditions.map(([name]) => name).join(', ');
  return printable(`compared with the run of ${before.when}: ${other.length > 0 ? `differs in ${other.join('; ')}` : `the same ${names}`}`);
}

/** @param {number | null} now @param {number | null | undefined} then @returns percent; nothing where a ratio says nothing */
function change(now, then) {
  if (now === null || now < 0 || !then || then < 0) return '';
  const percent = Math.round(100 * (now / then - 1));
  return Number.isFinite(percent) ? `${percent > 0 ? '+' : ''}${percent} %` : '';
}

module.exports = { change, differences, readReport };
