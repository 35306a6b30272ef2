// The watch over V8's heap.

const v8 = require('node:v8');
const { EventEmitter } = require('node:events');
const { GgufError } = require('./errors');

const safeShare = 0.7;
const criticalShare = 0.9;
const lookEveryMs = 5;

/** The watch over V8's heap. One per embedder; events 'heap-safe', 'heap-critical'. */
class CrashPrevention extends EventEmitter {
  #last = 0;
  #share = 0;
  /** @type {() => { used_heap_size: number, heap_size_limit: number }} */
  #statistics;
  /** @param {() => { used_heap_size: number, heap_size_limit: number }} [statistics] */
  constructor(statistics = v8.getHeapStatistics) {
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
    if (s.used_heap_size / s.heap_size_limit > safeShare && typeof globalThis.gc === 'function') {
      globalThis.gc();
      s = this.#statistics();
    }
    this.#share = s.used_heap_size / s.heap_size_limit;
    const report = { used: s.used_heap_size, limit: s.heap_size_limit };
    if (this.#share > criticalShare) {
      this.emit('heap-critical', report);
      throw new GgufError({
        code: 'ERR_HEAP_CRITICAL',
        kind: 'limit',
        message: `V8's heap is nearly full: ${report.used} of ${report.limit} bytes; release references or raise --max-old-space-size`,
      });
    }
    if (this.#share <= safeShare) return undefined;
    this.emit('heap-safe', report);
    return new Promise((resolve) => setImmediate(resolve));
  }
}

module.exports = { CrashPrevention };
