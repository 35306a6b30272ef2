// Names of models: hf:owner/repo[@revision][:file-or-quant], and short ones from a table.

const { GgufError } = require('../errors');
const { shortNames } = require('../models');

/** @typedef {{ name: string, repo: string, revision: string, file: string | undefined }} Reference */

const preferred = 'Q8_0';
const form = /^hf:([\w.-]+\/[\w.-]+)(?:@([^:]+))?(?::(.+))?$/;
const splitPart = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** The repositories of the short names, which are the same in any case. */
const repos = new Map(Object.entries(shortNames).map(([name, repo]) => [name.toLowerCase(), repo]));

/** @param {string} name @param {string} message */
function nameError(name, message) {
  return new GgufError({ code: 'ERR_MODEL_NAME', kind: 'argument', field: 'model', message: `${name}: ${message}` });
}

/** A path that stays inside the folder it is joined to, whatever the platform, and that moves no terminal's cursor. @param {string} path */
function isInside(path) {
  return !/[\\\p{Cc}]|^[A-Za-z]:/u.test(path) && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** The reference that a model option names, or undefined if it is a path. @param {string} name @returns {Reference | undefined} */
function parseReference(name) {
  const [short, ...file] = name.split(':');
  const repo = repos.get(short.toLowerCase());
  const full = repo ? [`hf:${repo}`, ...file].join(':') : name;
  if (!full.startsWith('hf:')) return undefined;
  const match = form.exec(full);
  if (!match?.slice(1).every((part) => part === undefined || isInside(part)))
    throw nameError(name, "not of the form 'hf:owner/repo', 'hf:owner/repo:Q4_K_M' or 'hf:owner/repo@revision:file.gguf'");
  return { name, repo: match[1], revision: match[2] ?? 'main', file: match[3] };
}

/** Q8_0, q8_0 and _fp16, F16 are the same to a user. @param {string} s */
const plain = (s) => s.toLowerCase().replace(/fp(16|32)/g, 'f$1');

/** @param {string} path @param {string} quant */
function hasQuant(path, quant) {
  const stem = plain(path).replace(splitPart, '.gguf').slice(0, -'.gguf'.length);
  const wanted = plain(quant);
  return stem.endsWith(wanted) && !/[a-z0-9]/.test(stem.at(-wanted.length - 1) ?? '');
}

/**
 * The files among paths that a wanted file or quant names; of split files only the first part. Without a wish: Q8_0.
 * @param {string[]} paths
 * @param {string | undefined} wanted
 */
function matching(paths, wanted) {
  const models = paths.filter((p) => /\.gguf$/i.test(p) && Number(splitPart.exec(p)?.[1] ?? 1) === 1);
  if (wanted && /\.gguf$/i.test(wanted)) return models.filter((p) => p === wanted);
  return models.filter((p) => hasQuant(p, wanted || preferred));
}

/**
 * The one file that a reference names among all of a repository's. Throws ERR_MODEL_NAME that lists them.
 * @param {Reference} reference
 * @param {string[]} paths
 */
function choose(reference, paths) {
  const models = paths.filter((p) => /\.gguf$/i.test(p) && isInside(p));
  let found = matching(models, reference.file);
  if (found.length === 0 && !reference.file && models.length === 1) found = models;
  if (found.length === 1) return found[0];
  if (models.length === 0) throw nameError(reference.name, `${reference.repo} holds no .gguf file`);
  const what = found.length > 1 ? 'more than one file fits' : `no file is ${reference.file ?? preferred}`;
  throw nameError(reference.name, `${what}; name one of ${(found.length > 1 ? found : models).join(', ')}`);
}

/** A file's name, or the names of all parts of a split one. @param {string} path */
function partsOf(path) {
  const split = splitPart.exec(path);
  if (!split) return [path];
  const stem = path.slice(0, split.index);
  return Array.from({ length: Number(split[2]) }, (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${split[2]}${path.slice(-'.gguf'.length)}`);
}

module.exports = { choose, isInside, matching, nameError, parseReference, partsOf };
