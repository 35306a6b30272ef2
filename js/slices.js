// Long lists and streams of texts, cut into slices. A slice is what one job takes: copying it holds the JS thread for
// well under a millisecond, and its tokens stay small.

const { setImmediate } = require('node:timers'); // the global one is replaced by a host's tests that fake timers
const { onAbort, unlessAborted } = require('./signals');

const sliceTexts = 256;
const sliceUnits = 128 * 1024; // UTF-16
const slicesUnderWay = 2; // one computes, one waits
const mostQueued = slicesUnderWay * sliceTexts; // of one list's or stream's texts

/** @param {readonly string[]} texts */
function fitOneSlice(texts) {
  return texts.length <= sliceTexts && texts.reduce((n, t) => n + t.length, 0) <= sliceUnits;
}

/** UTF-16 units of a list that are with the core at a time, at most. @param {Iterable<string>} texts */
function unitsUnderWay(texts) {
  let n = 0;
  let units = 0;
  let longest = 0;
  for (const { length } of texts) {
    if (++n > mostQueued) break;
    units += length;
    longest = Math.max(longest, length);
  }
  return Math.min(units, slicesUnderWay * (sliceUnits + longest));
}

/** @typedef {{ done?: boolean, value?: any, failure?: { error: unknown } }} Step */

/** Cuts a source into slices. It is read ahead by one text, so that waiting for that one can be raced. */
class Slicer {
  #iterator;
  /** @type {Promise<{ step: Step }> | undefined} */
  #next;
  #busy = false; // the source, with that text
  /** @type {string[]} */
  #slice = [];
  #units = 0;
  /** @type {Promise<{ waited: true }> | undefined} */
  #patience;
  #ended = false;
  /** @type {{ error: unknown } | undefined} */
  #failure;

  /** @param {Iterable<string> | AsyncIterable<string>} texts */
  constructor(texts) {
    const source = /** @type {any} */ (texts);
    this.#iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]();
  }

  get empty() {
    return this.#slice.length === 0;
  }

  get ended() {
    return this.#ended;
  }

  /** What the source threw, which ended it. */
  get failure() {
    return this.#failure;
  }

  /** No text more goes into this slice. */
  get complete() {
    return this.#ended || this.#slice.length >= sliceTexts || this.#units >= sliceUnits;
  }

  /** The text after those that were put. */
  next() {
    if (!this.#next) {
      this.#busy = true;
      this.#next = (async () => {
        try {
          const { done, value } = await this.#iterator.next();
          return { step: { done, value: await value } };
        } catch (error) {
          return { step: { done: true, failure: { error } } };
        } finally {
          this.#busy = false;
        }
      })();
    }
    return this.#next;
  }

  /** @param {Step} step what next has given */
  put({ done, value, failure }) {
    this.#next = undefined;
    this.#ended = done === true;
    this.#failure = failure;
    if (done) return;
    this.#slice.push(value);
    this.#units += value.length;
  }

  /** Comes when the source has let us wait: one turn of the event loop. */
  patience() {
    this.#patience ??= new Promise((resolve) => setImmediate(() => resolve({ waited: true })));
    return this.#patience;
  }

  /** The slice; the next one begins. */
  take() {
    const slice = this.#slice;
    this.#slice = [];
    this.#units = 0;
    this.#patience = undefined;
    return slice;
  }

  /**
   * Closes the source as `for await` would: what it throws then is told, but not in the place of an error. One that is still busy
   * with a text is not waited for.
   * @param {boolean} failed
   */
  async close(failed) {
    if (this.#ended) return;
    const closing = (async () => this.#iterator.return?.())();
    const quiet = closing.catch(() => {});
    if (!this.#busy) await (failed ? quiet : closing);
  }
}

/** A controller that is aborted with the signal. @param {AbortSignal | undefined} signal */
function follow(signal) {
  const controller = new AbortController();
  return { controller, unfollow: onAbort(signal, () => controller.abort(signal?.reason)) };
}

/**
 * Results of slices in the order of the texts, with a few jobs under way; what the source throws comes after those of the texts before. A slice that is not full starts when the source makes us
 * wait, so that a slow stream is answered as it comes. Jobs that nobody waits for any more are aborted.
 * @template R
 * @param {Iterable<string> | AsyncIterable<string>} texts
 * @param {AbortSignal | undefined} signal
 * @param {(slice: string[], signal: AbortSignal) => Promise<R>} job
 * @returns {AsyncGenerator<R>}
 */
async function* inSlices(texts, signal, job) {
  const slicer = new Slicer(texts);
  const { controller, unfollow } = follow(signal);
  let failed = false;
  /** @type {Promise<{ result: R }>[]} */
  const underWay = [];
  const start = () => {
    const started = job(slicer.take(), controller.signal).then((result) => ({ result }));
    started.catch(() => {}); // it is awaited later, in order
    underWay.push(started);
  };
  try {
    while (!slicer.ended || !slicer.empty || underWay.length > 0) {
      const free = !slicer.empty && underWay.length < slicesUnderWay;
      if (free && slicer.complete) start();
      /** @type {Promise<{ step?: Step, result?: R, waited?: true }>[]} */
      const events = [];
      if (!slicer.complete) events.push(slicer.next());
      if (free && !slicer.complete) events.push(slicer.patience());
      if (underWay.length > 0) events.push(underWay[0]);
      const event = await unlessAborted(Promise.race(events), signal); // the source may be silent for long
      if (event.step) slicer.put(event.step);
      else if (event.waited) start();
      else {
        underWay.shift();
        yield/** @type {R} */ (event.result);
      }
    }
    if (slicer.failure) throw slicer.failure.error;
  } catch (e) {
    failed = true;
    throw e;
  } finally {
    unfollow();
    controller.abort();
    await Promise.allSettled(underWay);
    await slicer.close(failed);
  }
}

module.exports = { fitOneSlice, inSlices, mostQueued, unitsUnderWay };
