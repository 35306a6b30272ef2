// The Hugging Face cache on disk, as huggingface_hub lays it out and shares it between programs:
//   models--owner--repo/refs/<revision>               the commit a branch or tag was at
//   models--owner--repo/snapshots/<commit>/<file>     a link to
//   models--owner--repo/blobs/<sha-256>               the bytes
// and, of our own, where the file that a name without a quant means cannot be told from its own name:
//   models--owner--repo/gguf-stream/<commit>          the only .gguf file that the repository has

const fs = require('node:fs/promises');
const os = require('node:os');
const path = require('node:path');
const { matching, partsOf } = require('./reference');

/**
 * @import { Reference } from './reference'
 * @typedef {{ repo: string, commit: string, revisions: string[], file: string, path: string, bytes: number }} CachedModel
 */

const commitForm = /^[0-9a-f]{40}$/;

/** As huggingface_hub reads a path of the environment: neither a Dockerfile nor a .env file expands ~ or $NAME. @param {string} file */
const expanded = (file) =>
  file.replace(/^~(?=$|[/\\])/, () => os.homedir()).replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, bare, braced) => process.env[bare ?? braced] ?? whole);

/** Where the token lies too. */
function home() {
  const { HF_HOME, XDG_CACHE_HOME } = process.env;
  return expanded(HF_HOME || path.join(XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'huggingface'));
}

function cacheFolder() {
  return expanded(process.env.HF_HUB_CACHE || process.env.HUGGINGFACE_HUB_CACHE || path.join(home(), 'hub'));
}

/** @param {string} repo */
const repoFolder = (repo) => path.join(cacheFolder(), `models--${repo.replaceAll('/', '--')}`);

/** What a link leads to counts: one to nowhere does not exist. @param {string} file */
const sizeOf = (file) =>
  fs.stat(file).then(
    (s) => s.size,
    () => undefined,
  );

/** @param {string} file */
const exists = async (file) => (await sizeOf(file)) !== undefined;

/** The text of a small file, '' if there is none. @param {string} file */
const textOf = (file) => fs.readFile(file, 'utf8').catch(() => '');

/** All files below a folder, relative and with slashes; none if it does not exist. @param {string} folder */
async function filesBelow(folder) {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((e) => !e.isDirectory()).map((e) => path.relative(folder, path.join(e.parentPath ?? e.path, e.name)));
  return files.map((f) => f.split(path.sep).join('/')).sort();
}

/** The commit that the cache knows for a revision. @param {string} repo @param {string} revision */
async function commitOf(repo, revision) {
  if (commitForm.test(revision)) return revision;
  const commit = (await textOf(path.join(repoFolder(repo), 'refs', revision))).trim();
  return commitForm.test(commit) ? commit : undefined;
}

/** @param {string} repo @param {string} commit */
const onlyFile = (repo, commit) => path.join(repoFolder(repo), 'gguf-stream', commit);

/** The first part's path of a model that is wholly in the cache. @param {Reference} reference */
async function cachedPath(reference) {
  const commit = await commitOf(reference.repo, reference.revision);
  if (!commit) return undefined;
  const snapshot = path.join(repoFolder(reference.repo), 'snapshots', commit);
  const found = matching(await filesBelow(snapshot), reference.file || (await textOf(onlyFile(reference.repo, commit))));
  if (found.length !== 1) return undefined;
  for (const part of partsOf(found[0])) if (!(await exists(path.join(snapshot, part)))) return undefined;
  return path.join(snapshot, found[0]);
}

/** All .gguf files of a repository's folder. @param {string} folder @returns {Promise<CachedModel[]>} */
async function modelsOf(folder) {
  const repo = path.basename(folder).slice('models--'.length).replace('--', '/');
  /** @type {[string, string | undefined][]} */
  const refs = [];
  for (const ref of await filesBelow(path.join(folder, 'refs'))) refs.push([ref, await commitOf(repo, ref)]);
  const models = [];
  for (const f of await filesBelow(path.join(folder, 'snapshots'))) {
    const [commit, ...file] = f.split('/');
    const full = path.join(folder, 'snapshots', f);
    const bytes = await sizeOf(full);
    if (!/\.gguf$/i.test(f) || bytes === undefined) continue;
    const revisions = refs.filter((r) => r[1] === commit).map((r) => r[0]);
    models.push({ repo, commit, revisions, file: file.join('/'), path: full, bytes });
  }
  return models;
}

/** All .gguf files of the cache, by repository, commit and name. @returns {Promise<CachedModel[]>} */
async function cachedModels() {
  const names = await fs.readdir(cacheFolder()).catch(() => []);
  const folders = names.filter((f) => f.startsWith('models--')).sort();
  const lists = await Promise.all(folders.map((f) => modelsOf(path.join(cacheFolder(), f))));
  return lists.flat();
}

/**
 * The blob of its repository that a snapshot's file links to; undefined of a file without one, and of a link to somewhere else.
 * @param {string} folder the repository's
 * @param {string} file
 */
async function blobOf(folder, file) {
  const target = await fs.readlink(file).catch(() => undefined);
  if (target === undefined) return undefined;
  const blob = path.resolve(path.dirname(file), target);
  const [its, own] = await Promise.all([path.dirname(blob), path.join(folder, 'blobs')].map((f) => fs.realpath(f).catch(() => f)));
  return its === own ? path.join(own, path.basename(blob)) : undefined;
}

/**
 * Removes a file of a snapshot, and its blob if no other snapshot shows it. What a link leads to outside of the repository's folder is not ours:
 * huggingface_hub keeps bytes there that several repositories share.
 * @param {CachedModel} model
 * @returns {Promise<number>} bytes freed
 */
async function removeModel(model) {
  const folder = repoFolder(model.repo);
  const blob = await blobOf(folder, model.path);
  const bytes = await fs.lstat(blob ?? model.path);
  await fs.rm(model.path);
  const left = await filesBelow(path.join(folder, 'snapshots'));
  for (const f of left) if (blob && (await blobOf(folder, path.join(folder, 'snapshots', f))) === blob) return 0;
  if (blob) await fs.rm(blob, { force: true });
  if (left.length === 0) await fs.rm(folder, { recursive: true });
  return bytes.isSymbolicLink() ? 0 : bytes.size;
}

/** Writes a small file, if it does not hold the text already, so that a reader sees all of it or none. @param {string} file @param {string} text */
async function writeWhole(file, text) {
  if ((await textOf(file)) === text) return;
  await fs.mkdir(path.dirname(file), { recursive: true });
  const own = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await fs.writeFile(own, text);
  await fs.rename(own, file);
}

/**
 * Shows a blob as a snapshot's file: a link, or where links are not allowed (Windows) the bytes, as huggingface_hub does: those of a new blob are
 * moved, those of an older one, which other snapshots may show, are copied.
 * @param {string} blob
 * @param {string} file
 * @param {boolean} isNew
 */
async function showAs(blob, file, isNew) {
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.rm(file, { force: true }); // a link to bytes that are gone, a copy that was cut
  try {
    await fs.symlink(path.relative(path.dirname(file), blob), file);
  } catch (e) {
    if (/** @type {NodeJS.ErrnoException} */ (e).code === 'EEXIST') return;
    const bytes = isNew ? blob : `${blob}.gguf-stream.copy`;
    if (!isNew) await fs.copyFile(blob, bytes);
    await fs.rename(bytes, file);
  }
}

module.exports = { cacheFolder, cachedModels, cachedPath, commitForm, expanded, home, onlyFile, removeModel, repoFolder, showAs, sizeOf, textOf, writeWhole };
