// What is measured and how: shared by `gguf-stream bench` and scripts/bench. A subject is anything with
// embed(text) and embedMany(texts).

const { monitorEventLoopDelay } = require('node:perf_hooks');

/**
 * @typedef {{ embed(text: string): Promise<unknown>, embedMany(texts: string[]): Promise<unknown> }} Subject
 * @typedef {{ name: string, lengths: () => number[] }} Workload lengths are tokens, the two special ones included
 * @typedef {{ tokens: number, calls: number, p50: number, p95: number, p99: number | null, cpuMs: number }} Latency milliseconds; no p99 of few calls
 * @typedef {{ p99: number, max: number }} Delay milliseconds
 * @typedef {{ name: string, texts: number, tokens: number, tokensPerSecond: number, textsPerSecond: number, cpuMsPerText: number }} Throughput
 */

// Words that are one token in every WordPiece vocabulary of English.
const words =
  'time year people way day man thing woman life child world school state family student group country problem hand part place case week company system program question work government number night point home water room mother area money story fact month lot right study book eye job word business issue side kind head house service friend father power hour game line end member law car city community name president team minute idea body information back parent face others level office door health person art war history party result change morning reason research girl guy moment air teacher force education'.split(
    ' ',
  );

/** A generator of numbers in [0, 1) that gives the same texts everywhere (xorshift). @param {number} seed */
function randomOf(seed) {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

/** @param {number} tokens @param {() => number} random */
const textOf = (tokens, random) => Array.from({ length: tokens - 2 }, () => words[Math.floor(random() * words.length)]).join(' ');

/** Lengths of real texts: log-normal, half of them over 40 tokens, at most 512. @param {number} count */
function mixedLengths(count) {
  const random = randomOf(40);
  return Array.from({ length: count }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.min(512, Math.max(4, Math.round(40 * Math.exp(0.9 * normal))));
  });
}

/** @type {Workload[]} */
const workloads = [
  { name: '256 × 16', lengths: () => new Array(256).fill(16) },
  { name: '256 × 128', lengths: () => new Array(256).fill(128) },
  { name: '32 × 512', lengths: () => new Array(32).fill(512) },
  { name: 'mixed', lengths: () => mixedLengths(256) },
];

/** @param {number[]} values @param {number} share */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/** @param {number[]} values */
const median = (values) => quantile(values, 0.5);

const fewestForP99 = 100; // of fewer calls it would be the slowest one

/** The process's CPU time in milliseconds. */
function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * One text at a time, for some seconds and ten calls at least.
 * @param {Subject} subject
 * @param {number} tokens
 * @param {number} seconds
 * @returns {Promise<Latency>}
 */
async function latency(subject, tokens, seconds) {
  const random = randomOf(tokens);
  for (let i = 0; i < 3; i++) await subject.embed(textOf(tokens, random));
  /** @type {number[]} */
  const times = [];
  const cpu = cpuMs();
  const end = performance.now() + seconds * 1000;
  while (times.length < 10 || performance.now() < end) {
    const text = textOf(tokens, random);
    const start = performance.now();
    await subject.embed(text);
    times.push(performance.now() - start);
  }
  const [p50, p95] = [0.5, 0.95].map((q) => quantile(times, q));
  const p99 = times.length < fewestForP99 ? null : quantile(times, 0.99);
  return { tokens, calls: times.length, p50, p95, p99, cpuMs: (cpuMs() - cpu) / times.length };
}

/**
 * All texts of a workload in one call, again and again for some seconds; scale takes a share of the texts.
 * @param {Subject} subject
 * @param {Workload} workload
 * @param {number} seconds
 * @param {number} [scale]
 * @returns {Promise<Throughput>}
 */
async function throughput(subject, workload, seconds, scale = 1) {
  const all = workload.lengths();
  const lengths = all.slice(0, Math.max(2, Math.round(all.length * scale)));
  const random = randomOf(all.length);
  const texts = lengths.map((n) => textOf(n, random));
  await subject.embedMany(texts.slice(0, 2));
  const cpu = cpuMs();
  const start = performance.now();
  let runs = 0;
  do {
    await subject.embedMany(texts);
    runs++;
  } while (performance.now() - start < seconds * 1000);
  const elapsed = (performance.now() - start) / 1000;
  const tokens = lengths.reduce((sum, n) => sum + n, 0);
  return {
    name: workload.name,
    texts: texts.length,
    tokens,
    tokensPerSecond: (tokens * runs) / elapsed,
    textsPerSecond: (texts.length * runs) / elapsed,
    cpuMsPerText: (cpuMs() - cpu) / (texts.length * runs),
  };
}

/**
 * How late the event loop is while a workload is embedded; not part of throughput, for the watch takes time itself.
 * @param {Subject} subject
 * @param {Workload} workload
 * @param {number} seconds
 * @returns {Promise<Delay>}
 */
async function loopDelay(subject, workload, seconds) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await throughput(subject, workload, seconds);
  delay.disable();
  return { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 };
}

module.exports = { workloads, latency, throughput, loopDelay, median, textOf, randomOf };
