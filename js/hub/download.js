// From the hub into the cache: resumed where it was cut, retried, its size and hash checked, and shown under its name only
// then.
//   refs/<revision> ─▶ commit ─▶ list of files ─▶ the one that is meant ─▶ blobs/<hash>.gguf-stream.incomplete ─▶ blobs/<hash>

const crypto = require('node:crypto');
const { constants } = require('node:fs');
const fs = require('node:fs/promises');
const path = require('node:path');
const { GgufError } = require('../errors');
const { pause, stoppedByThrow } = require('../signals');
const { cacheFolder, cachedModels, cachedPath, commitForm, onlyFile, repoFolder, showAs, sizeOf, writeWhole } = require('./cache');
const { client, endpoint, hubFetch, isOffline, timeoutMs } = require('./client');
const { withLock } = require('./lock');
const { choose, isInside, matching, nameError, partsOf } = require('./reference');

/**
 * @import { Reference } from './reference'
 * @import { LoadProgress } from '../index.js'
 * @typedef {{ path: string, size: number, oid: string, sha256: boolean }} Entry oid names the blob and is its hash
 * @typedef {{ reference: Reference, commit: string, signal: AbortSignal, report: (bytes: number) => void }} Pull
 * @typedef {{ fetch: typeof fetch, last: Response | undefined, progressed: () => void }} Line one try's connection
 */

const retries = 4; // in a row, without a byte gained
const firstDelayMs = 500;
const retriedStatus = (/** @type {number} */ status) => status >= 500 || status === 429 || status === 408;

/** @param {Reference} reference @param {string} message @param {unknown} [cause] */
function downloadError(reference, message, cause) {
  return new GgufError({ code: 'ERR_DOWNLOAD', kind: 'io', field: 'model', message: `${reference.name}: ${message}`, cause });
}

/**
 * What failed as one of our errors, or undefined if another try may help.
 * @param {Reference} reference
 * @param {any} e
 * @param {number} status of the last response, 0 if none came
 */
function verdict(reference, e, status) {
  if (e instanceof GgufError) return e;
  if (e?.syscall) return downloadError(reference, `the cache cannot be written: ${e.message}`, e); // fetch wraps those of sockets
  if (status === 401 || status === 403) {
    const message = `${reference.name}: ${endpoint()} refuses access (${status}): there is no such repository, or it is private or gated: accept its terms there and set HF_TOKEN`;
    return new GgufError({ code: 'ERR_MODEL_ACCESS', kind: 'io', field: 'model', message, cause: e });
  }
  if (status === 404) return nameError(reference.name, `${endpoint()} has no such repository, revision or file`);
  if (status >= 400 && !retriedStatus(status)) return downloadError(reference, `${endpoint()} answered ${status}`, e);
  return undefined;
}

/**
 * Runs work until it is done, beginning anew after failures that may pass and after silence.
 * @template T
 * @param {Reference} reference
 * @param {AbortSignal} signal
 * @param {(line: Line) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function patiently(reference, signal, work) {
  for (let failures = 0; ; failures++) {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new Error(`silent for ${timeoutMs() / 1000} s`)), timeoutMs());
    /** @type {Line} */
    const line = {
      last: undefined,
      fetch: hubFetch(AbortSignal.any([signal, silence.signal]), (response) => {
        line.last = response;
        timer.refresh();
      }),
      progressed: () => {
        failures = 0;
        timer.refresh();
      },
    };
    try {
      return await work(line);
    } catch (e) {
      signal.throwIfAborted();
      const error = verdict(reference, e, line.last?.status ?? 0);
      if (error) throw error;
      const cause = silence.signal.aborted ? silence.signal.reason : e;
      if (failures >= retries) throw downloadError(reference, `${endpoint()} cannot be read: ${cause?.cause?.message ?? cause?.message ?? cause}`, cause);
    } finally {
      clearTimeout(timer);
    }
    await pause(firstDelayMs * 2 ** failures, signal);
  }
}

/** The files of a repository at a commit. @param {Reference} reference @param {AbortSignal} signal */
function listing(reference, signal) {
  const hub = client();
  return patiently(reference, signal, async ({ fetch }) => {
    const common = { hubUrl: endpoint(), fetch };
    const { sha } = await hub.modelInfo({ ...common, name: reference.repo, revision: reference.revision, additionalFields: ['sha'] });
    if (!commitForm.test(sha)) throw downloadError(reference, `${endpoint()} names no commit`);
    /** @type {Map<string, Entry>} */
    const entries = new Map();
    for await (const { type, path: file, size, oid, lfs } of hub.listFiles({ ...common, repo: reference.repo, revision: sha, recursive: true })) {
      if (type === 'file' && isInside(file)) entries.set(file, { path: file, size, oid: lfs?.oid ?? oid ?? '', sha256: lfs !== undefined });
    }
    return { commit: sha, entries };
  });
}

/** Git hashes a file that it holds itself with a header; what LFS holds goes by the SHA-256 of its bytes. @param {Entry} entry */
function hashOf(entry) {
  return entry.sha256 ? crypto.createHash('sha256') : crypto.createHash('sha1').update(`blob ${entry.size}\0`);
}

/**
 * Bytes on their way to a file that has its first ones already. Each goes to its own place: should another downloader have taken
 * the lock over, both write the same.
 */
class Partial {
  /** @param {fs.FileHandle} file @param {Entry} entry @param {number} have */
  constructor(file, entry, have) {
    this.file = file;
    this.entry = entry;
    this.have = have;
  }

  async restart() {
    await this.file.truncate(0);
    this.have = 0;
  }

  /** @param {Uint8Array} chunk */
  async append(chunk) {
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await this.file.write(chunk, from, chunk.length - from, this.have);
      from += bytesWritten;
      this.have += bytesWritten;
    }
  }

  /** Of what lies on the disk, whoever wrote it. @param {AbortSignal} signal */
  async digest(signal) {
    const hash = hashOf(this.entry);
    const buffer = Buffer.alloc(65536);
    for (let at = 0; ; ) {
      signal.throwIfAborted();
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
  }
}

/** Reads what the partial file lacks. @param {Pull} pull @param {Partial} partial @param {Line} line */
async function readOn({ reference, commit, report }, partial, line) {
  const { path: file, size } = partial.entry;
  // Over plain HTTP, which every mirror speaks and a range resumes; not by Hugging Face's chunk protocol (xet).
  const blob = await client().downloadFile({ repo: reference.repo, path: file, revision: commit, hubUrl: endpoint(), fetch: line.fetch, xet: false });
  if (!blob) throw nameError(reference.name, `${endpoint()} has no ${file}`);
  if (blob.size !== size) throw downloadError(reference, `${file} has ${size} bytes in the list, ${blob.size} when asked for`);
  const wanted = partial.have;
  for await (const chunk of blob.slice(wanted, size).stream()) {
    if (wanted > 0 && line.last?.status !== 206) {
      await partial.restart();
      throw new Error('the range was not honoured');
    }
    if (partial.have + chunk.length > size) throw downloadError(reference, `${file} is longer than ${size} bytes`);
    await partial.append(chunk);
    line.progressed();
    report(partial.have);
  }
  if (partial.have < size) throw new Error(`cut after ${partial.have} of ${size} bytes`);
}

/** @param {Pull} pull @param {Entry} entry @param {string} blob */
async function download(pull, entry, blob) {
  const incomplete = `${blob}.gguf-stream.incomplete`; // not .incomplete alone, which is huggingface_hub's
  await fs.mkdir(path.dirname(blob), { recursive: true });
  const file = await fs.open(incomplete, constants.O_RDWR | constants.O_CREAT);
  try {
    const partial = new Partial(file, entry, (await file.stat()).size);
    if (partial.have > entry.size) await partial.restart();
    if (partial.have < entry.size) await patiently(pull.reference, pull.signal, (line) => readOn(pull, partial, line));
    const got = await partial.digest(pull.signal);
    if (got !== entry.oid) {
      await fs.rm(incomplete, { force: true });
      const message = `${pull.reference.name}: ${entry.path} has the hash ${got}, not ${entry.oid}; its bytes were removed`;
      throw new GgufError({ code: 'ERR_DOWNLOAD_HASH', kind: 'io', field: 'model', message });
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await fs.rename(incomplete, blob).catch(async (e) => {
    if ((await sizeOf(blob)) !== entry.size) throw e; // else who took the lock over was sooner
  });
}

/** One file into the cache, by one downloader at a time. @param {Pull} pull @param {Entry} entry */
async function fetchFile(pull, entry) {
  const { reference, commit, signal } = pull;
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(entry.oid)) throw downloadError(reference, `${endpoint()} names no hash of ${entry.path}`);
  const folder = repoFolder(reference.repo);
  const blob = path.join(folder, 'blobs', entry.oid);
  const lock = path.join(cacheFolder(), '.locks', path.basename(folder), `${entry.oid}.gguf-stream`);
  const shown = path.join(folder, 'snapshots', commit, ...entry.path.split('/'));
  const isShown = async () => (await sizeOf(shown)) === entry.size;
  if (await isShown()) return; // nothing is written: the cache may be read-only
  await withLock(lock, signal, async () => {
    if (await isShown()) return;
    const isNew = (await sizeOf(blob)) !== entry.size;
    if (isNew) await download(pull, entry, blob);
    await showAs(blob, shown, isNew);
  });
}

/**
 * Brings a model of the hub into the cache and resolves to its path. Asks the hub even if the model is there, but offline: the
 * revision may have moved.
 * @param {Reference} reference
 * @param {{ signal?: AbortSignal, onProgress?: (p: LoadProgress) => void }} [options]
 */
async function pullModel(reference, { signal = new AbortController().signal, onProgress } = {}) {
  signal.throwIfAborted();
  if (isOffline()) return offlinePath(reference);
  const listener = stoppedByThrow(onProgress);
  const stop = AbortSignal.any([signal, listener.signal]);
  try {
    const file = await pullParts(reference, stop, listener.report);
    stop.throwIfAborted(); // by the last report
    return file;
  } catch (e) {
    if (stop.aborted) throw e;
    throw verdict(reference, e, 0) ?? downloadError(reference, /** @type {Error} */ (e).message, e);
  }
}

/** @param {Reference} reference @param {AbortSignal} signal @param {(p: LoadProgress) => void} onProgress */
async function pullParts(reference, signal, onProgress) {
  const { commit, entries } = await listing(reference, signal);
  const parts = partsOf(choose(reference, [...entries.keys()])).map((part) => {
    const entry = entries.get(part);
    if (!entry) throw nameError(reference.name, `${part} is missing in the repository`);
    return entry;
  });
  const totalBytes = parts.reduce((sum, p) => sum + p.size, 0);
  let before = 0;
  for (const part of parts) {
    const report = (/** @type {number} */ bytes) => onProgress({ phase: 'download', loadedBytes: before + bytes, totalBytes });
    await fetchFile({ reference, commit, signal, report }, part);
    before += part.size;
    onProgress({ phase: 'download', loadedBytes: before, totalBytes });
  }
  const folder = repoFolder(reference.repo);
  const [{ path: first }] = parts;
  if (matching([first], reference.file).length === 0) await writeWhole(onlyFile(reference.repo, commit), first);
  if (reference.revision !== commit) await writeWhole(path.join(folder, 'refs', ...reference.revision.split('/')), commit);
  return path.join(folder, 'snapshots', commit, ...first.split('/'));
}

/** What the cache has. @param {Reference} reference */
async function offlinePath(reference) {
  const found = await cachedPath(reference);
  if (found) return found;
  const models = (await cachedModels()).filter((m) => m.repo === reference.repo);
  const has = models.length > 0 ? `it has ${models.map((m) => m.file).join(', ')}` : 'it has nothing of that repository';
  const message = `${reference.name} is not in the cache, and HF_HUB_OFFLINE is set; ${has} (${cacheFolder()})`;
  throw new GgufError({ code: 'ERR_OFFLINE', kind: 'io', field: 'model', message });
}

module.exports = { pullModel };
