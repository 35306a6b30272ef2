// What a model option means. The hub's other files are loaded for names alone: a path costs no time at the start.

const fs = require('node:fs/promises');
const path = require('node:path');
const { GgufError } = require('../errors');
const { parseReference } = require('./reference');

/** @import { LoadProgress } from '../index.js' */

/** What is surely meant as a path: the core says what is wrong with it when it opens it. */
const surelyPath = /^(?!https?:|~[/\\]).*\.gguf$/is;

/** @param {string} file */
const isMissing = (file) =>
  fs.stat(file).then(
    () => false,
    (e) => e.code === 'ENOENT' || e.code === 'ENOTDIR',
  );

/** A relative path has no meaning where the current folder was removed: Node throws. @param {string} name */
function absolute(name) {
  try {
    return path.resolve(name);
  } catch (cause) {
    throw new GgufError({ code: 'ERR_FILE_OPEN', kind: 'io', field: 'path', message: `cannot open the model file: no current folder: ${name}`, cause });
  }
}

/** @param {string} name */
async function pathOf(name) {
  const file = absolute(name);
  if (!surelyPath.test(name) && (await isMissing(file))) throw require('./unknown').unknownFile(name);
  return file;
}

/**
 * The path of a model: a path as it is; a name from the cache without a question to the hub, else pulled.
 * @param {string} name
 * @param {{ signal?: AbortSignal, onProgress?: (p: LoadProgress) => void }} [options]
 */
async function resolveModel(name, options) {
  const reference = parseReference(name);
  if (!reference) return pathOf(name);
  const { cachedPath } = require('./cache');
  const { pullModel } = require('./download');
  return (await cachedPath(reference)) ?? (await pullModel(reference, options));
}

module.exports = { resolveModel };
