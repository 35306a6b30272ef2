// One downloader a file, among all processes and threads that share a cache: a lock file that only one can make, and that its
// owner touches while it lives. Node has no flock; a lock is taken over if its owner's process is gone, or, on another machine or
// in a worker that was terminated, once it has not been touched for a while. Its owner may live all the same (stopped, or in a
// container with this host's name): two then write the same bytes to the same places, and the check of the file's hash tells.

const fs = require('node:fs/promises');
const os = require('node:os');
const path = require('node:path');
const { pause } = require('../signals');

const touchMs = 5000;
const staleMs = 30000;
const pollMs = 200;

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (e) {
    return /** @type {NodeJS.ErrnoException} */ (e).code === 'EPERM';
  }
}

/** @param {string} file */
async function isStale(file) {
  try {
    const [host, pid] = (await fs.readFile(file, 'utf8')).split('\n');
    if (host === os.hostname() && !isAlive(Number(pid))) return true;
    return Date.now() - (await fs.stat(file)).mtimeMs > staleMs;
  } catch {
    return false; // released meanwhile
  }
}

/** @param {string} file @returns {Promise<boolean>} */
async function tryMake(file) {
  try {
    await fs.writeFile(file, `${os.hostname()}\n${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (e) {
    if (/** @type {NodeJS.ErrnoException} */ (e).code !== 'EEXIST') throw e;
    return false;
  }
}

/**
 * Runs work while holding the lock.
 * @template T
 * @param {string} file
 * @param {AbortSignal} signal
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withLock(file, signal, work) {
  await fs.mkdir(path.dirname(file), { recursive: true });
  while (!(await tryMake(file))) {
    if (await isStale(file)) await fs.rm(file, { force: true });
    else await pause(pollMs, signal);
  }
  const touch = setInterval(() => fs.utimes(file, new Date(), new Date()).catch(() => {}), touchMs);
  touch.unref();
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await fs.rm(file, { force: true });
  }
}

module.exports = { withLock };
