// Waiting that a signal ends. One listener a signal, however many calls it is given to: Node warns on stderr from the eleventh on.

const { setTimeout: delay } = require('node:timers/promises');

/** What to do when a signal aborts, and the listener that does it. @type {WeakMap<AbortSignal, { callbacks: Set<() => void>, tellAll: () => void }>} */
const waiting = new WeakMap();

/**
 * Calls back when the signal aborts, at once if it has; the result takes that back.
 * @param {AbortSignal | undefined} signal
 * @param {() => void} callback
 * @returns {() => void}
 */
function onAbort(signal, callback) {
  if (!signal) return () => {};
  if (signal.aborted) {
    callback();
    return () => {};
  }
  const { callbacks, tellAll } = waiting.get(signal) ?? listen(signal);
  callbacks.add(callback);
  return () => {
    callbacks.delete(callback);
    if (callbacks.size > 0 || waiting.get(signal)?.callbacks !== callbacks) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', tellAll); // Node keeps what AbortSignal.any made for as long as somebody listens
  };
}

/** Not a part of onAbort: the listener would keep the first callback, and what that holds, as long as the signal lives. @param {AbortSignal} signal */
function listen(signal) {
  /** @type {Set<() => void>} */
  const callbacks = new Set();
  const tellAll = () => {
    for (const c of callbacks) c();
  };
  const listening = { callbacks, tellAll };
  waiting.set(signal, listening);
  signal.addEventListener('abort', tellAll, { once: true });
  return listening;
}

/**
 * A promise's outcome, or the signal's reason if that comes first.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const done = onAbort(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(done);
  });
}

/** Rejects with the signal's reason, as all our calls do. @param {number} ms @param {AbortSignal} signal */
async function pause(ms, signal) {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/**
 * A listener that hears no more once it has thrown; the signal aborts with what it threw.
 * @template T
 * @param {((value: T) => void) | undefined} listener
 */
function stoppedByThrow(listener) {
  const thrown = new AbortController();
  return {
    signal: thrown.signal,
    /** @param {T} value */
    report(value) {
      if (thrown.signal.aborted) return;
      try {
        listener?.(value);
      } catch (e) {
        thrown.abort(e);
      }
    },
  };
}

module.exports = { onAbort, pause, stoppedByThrow, unlessAborted };
