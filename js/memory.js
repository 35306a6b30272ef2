// The budget as JavaScript sees it, and the guard of single heap allocations.

const v8 = require('node:v8');
const { Kind } = require('./kinds');
const { call, native } = require('./native');
const { GgufError, argumentError } = require('./errors');
const { defaultBudgetBytes, heapAllocationBytes } = require('./limits');

/**
 * @import { MemoryReport } from './index.js'
 * @import { Core } from './native'
 */

/** Refuses single allocations on V8's heap over 10 MiB. */
const MemoryGuard = Object.freeze({
  /** @param {number} bytes */
  check(bytes) {
    if (typeof bytes !== 'number' || Number.isNaN(bytes)) throw argumentError('bytes', 'a number', bytes);
    if (bytes > heapAllocationBytes) {
      throw new GgufError({
        code: 'ERR_MEMORY_GUARD',
        kind: 'limit',
        message: `BLOCKED: Allocation ${bytes} bytes exceeds 10MB limit. This prevents V8 heap crashes.`,
      });
    }
  },
});

let looking = false;

/**
 * The core's counters, and a look at what the system leaves for the next time: the core looks at each load, and whenever a
 * monitor is asked. No file is read on this thread.
 */
function budget() {
  if (!looking) {
    looking = true;
    call(Kind.look)
      .catch(() => {})
      .finally(() => {
        looking = false;
      });
  }
  return native().counters();
}

/** @param {unknown} v */
const isByteCount = (v) => Number.isSafeInteger(v) && /** @type {number} */ (v) >= 0;

/** Grants bytes against the process's budget, which it shares with the core. */
class MemoryMonitor {
  #limit;
  /** @param {number} limit bytes */
  constructor(limit) {
    if (!Number.isSafeInteger(limit) || limit < 1) throw argumentError('limit', 'a number of bytes', limit);
    this.#limit = limit;
  }

  /** The default for Node: 2 GiB, less where the system has less. */
  static forNodejs() {
    return new MemoryMonitor(defaultBudgetBytes);
  }

  /** Bytes that can be granted now. */
  get available() {
    const { reserved, system } = budget();
    return Math.max(0, Math.min(this.#limit - reserved, system));
  }

  /** @param {number} bytes */
  canAllocate(bytes) {
    return isByteCount(bytes) && bytes <= this.available;
  }

  /**
   * Reserves bytes; call the result to give them back.
   * @param {number} bytes
   * @returns {() => void}
   */
  tryAllocate(bytes) {
    if (!isByteCount(bytes)) throw argumentError('bytes', 'a number of bytes', bytes);
    budget();
    const a = native();
    if (!a.reserve(bytes, this.#limit)) {
      throw new GgufError({
        code: 'ERR_MEMORY_LIMIT',
        kind: 'limit',
        message: `${bytes} bytes are needed, but only ${this.available} are available; raise memoryLimit or free memory`,
      });
    }
    let released = false;
    return () => {
      if (!released) a.unreserve(bytes);
      released = true;
    };
  }
}

/** @param {Pick<Core, 'counters'>} core @returns {MemoryReport} */
function reportOf(core) {
  const c = core.counters();
  const heap = v8.getHeapStatistics();
  const { weights, activations, staging, vocab, index, output } = c;
  return {
    purposes: { weights, activations, staging, vocab, index, output },
    total: weights + activations + staging + vocab + index + output,
    regions: c.regions,
    budget: c.budget,
    reserved: c.reserved,
    goHeap: c.goHeap,
    working: c.working,
    v8: { used: heap.used_heap_size, limit: heap.heap_size_limit },
  };
}

const memoryReport = () => reportOf(native());

module.exports = { MemoryGuard, MemoryMonitor, memoryReport, reportOf };
