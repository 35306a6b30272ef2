// One downloader a file, among all processes and threads that share a cache: a folder that only one can make, touched while
// its owner lives. Node has no flock; a lock whose owner died is taken over once it has not been touched for a while. Should
// two take it over at once, the check of the file's hash tells.

const fs = require('node:fs/promises');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

const touchMs = 5000;
const staleMs = 30000;
const pollMs = 200;

/** @param {string} folder */
async function isStale(folder) {
  const s = await fs.stat(folder).catch(() => undefined);
  return s !== undefined && Date.now() - s.mtimeMs > staleMs;
}

/** @param {string} folder @returns {Promise<boolean>} */
async function tryMake(folder) {
  try {
    await fs.mkdir(folder);
    return true;
  } catch (e) {
    if (/** @type {NodeJS.ErrnoException} */ (e).code !== 'EEXIST') throw e;
    return false;
  }
}

/**
 * Runs work while holding the lock.
 * @template T
 * @param {string} folder
 * @param {AbortSignal} signal
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withLock(folder, signal, work) {
  await fs.mkdir(path.dirname(folder), { recursive: true });
  while (!(await tryMake(folder))) {
    if (await isStale(folder)) await fs.rmdir(folder).catch(() => {});
    else await delay(pollMs, undefined, { signal });
  }
  const touch = setInterval(() => fs.utimes(folder, new Date(), new Date()).catch(() => {}), touchMs);
  touch.unref();
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await fs.rmdir(folder).catch(() => {});
  }
}

module.exports = { withLock };
