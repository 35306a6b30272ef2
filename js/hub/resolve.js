// What a model option means. The hub's other files are loaded for names alone: a path costs no time at the start.

const path = require('node:path');
const { parseReference } = require('./reference');

/** @import { LoadProgress } from '../index.js' */

/**
 * The path of a model: a path as it is; a name from the cache without a question to the hub, else pulled.
 * @param {string} name
 * @param {{ signal?: AbortSignal, onProgress?: (p: LoadProgress) => void }} [options]
 */
async function resolveModel(name, options) {
  const reference = parseReference(name);
  if (!reference) return path.resolve(name);
  const { cachedPath } = require('./cache');
  const { pullModel } = require('./download');
  return (await cachedPath(reference)) ?? (await pullModel(reference, options));
}

module.exports = { resolveModel };
