// The watch over V8's heap: over its old generation, which ends the process when it is full. heap_size_limit is of both generations,
// and of a small heap the young one is the greater part.

const v8 = require('node:v8');
const { EventEmitter } = require('node:events');
const { setImmediate } = require('node:timers'); // as in slices.js
const { resourceLimits } = require('node:worker_threads');
const { GgufError } = require('./errors');

const mebibyte = 1024 * 1024;

/** What V8 was told by a flag that counts MiB, in bytes; 0 without it. @param {string} flag */
function flagBytes(flag) {
  const given = [...(process.env.NODE_OPTIONS ?? '').split(/\s+/), ...process.execArgv].map((a) => a.replaceAll('_', '-').split('='));
  const last = given.filter(([name]) => name === flag).pop();
  return Number(last?.[1] ?? 0) * mebibyte || 0;
}

const oldFlag = flagBytes('--max-old-space-size');
const semiFlag = flagBytes('--max-semi-space-size');

/** Bytes that the old generation can hold: V8 tells a worker, the main thread only the limit of both. @param {number} limit */
function oldLimit(limit) {
  const told = (resourceLimits?.maxOldGenerationSizeMb ?? 0) * mebibyte || oldFlag;
  if (told > 0 && told < limit) return told;
  if (semiFlag > 0 && 6 * semiFlag < limit) return limit - 3 * semiFlag; // two, and as much for large objects
  return limit - Math.min(192 * mebibyte, limit / 11); // without flags the young one has at most 3 of 35 parts: measured on Node 20 to 26
}

/** V8's old generation in the names of v8.getHeapStatistics. */
function oldGeneration() {
  const { used_heap_size, heap_size_limit } = v8.getHeapStatistics();
  const limit = oldLimit(heap_size_limit);
  if (used_heap_size <= safeShare * limit) return { used_heap_size, heap_size_limit: limit }; // few, even with the young one's
  const young = v8.getHeapSpaceStatistics().reduce((n, s) => (s.space_name.startsWith('new_') ? n + s.space_used_size : n), 0);
  const used = used_heap_size - young;
  // what the young one holds is mostly garbage, but when the old one is filled it may have to take that, too
  return { used_heap_size: used > safeShare * limit ? used_heap_size : used, heap_size_limit: limit };
}

const safeShare = 0.7;
const criticalShare = 0.9;
const lookEveryMs = 5;
const collectEveryMs = 10000;

/** The last collection that was asked for, and above which limit, by the heap: all its watches share it. @type {WeakMap<Function, { above: number, at: number }>} */
const collections = new WeakMap();

/** The watch over V8's heap. One per embedder; events 'heap-safe', 'heap-critical'. */
class CrashPrevention extends EventEmitter {
  #last = 0;
  #share = 0;
  /** @type {() => { used_heap_size: number, heap_size_limit: number }} */
  #statistics;
  /** @param {() => { used_heap_size: number, heap_size_limit: number }} [statistics] */
  constructor(statistics = oldGeneration) {
    super();
    this.#statistics = statistics;
  }

  /**
   * Looks at the heap: refuses above the critical limit, asks for a collection above the safe one.
   * @returns {Promise<void> | undefined} a promise when work should yield
   */
  check() {
    const now = performance.now();
    if (now - this.#last < lookEveryMs && this.#share < safeShare) return undefined;
    this.#last = now;
    let s = this.#statistics();
    if (this.#collect(s.used_heap_size / s.heap_size_limit, now)) s = this.#statistics();
    this.#share = s.used_heap_size / s.heap_size_limit;
    const report = { used: s.used_heap_size, limit: s.heap_size_limit };
    if (this.#share > criticalShare) {
      this.emit('heap-critical', report);
      throw new GgufError({
        code: 'ERR_HEAP_CRITICAL',
        kind: 'limit',
        message: `V8's heap is nearly full: ${report.used} of ${report.limit} bytes of its old generation; release references or raise --max-old-space-size`,
      });
    }
    if (this.#share <= safeShare) return undefined;
    this.emit('heap-safe', report);
    return new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * Asks for a collection once when the share rises above each of the limits: it holds the thread, of a large heap for tenths of a second,
   * and what is kept is there after the next one, too.
   * @param {number} share
   * @param {number} now
   */
  #collect(share, now) {
    const above = [criticalShare, safeShare, 0].find((limit) => share > limit) ?? 0;
    const last = collections.get(this.#statistics) ?? { above: 0, at: Number.NEGATIVE_INFINITY };
    if (above === 0 && last.above > 0) collections.set(this.#statistics, { ...last, above });
    if (above <= last.above || now - last.at < collectEveryMs || typeof globalThis.gc !== 'function') return false;
    collections.set(this.#statistics, { above, at: now });
    globalThis.gc();
    return true;
  }
}

module.exports = { CrashPrevention };
