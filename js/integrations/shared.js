const { loadEmbedder } = require('../index');

/**
 * An embedder at hand, or a new one by options.
 * @param {import('../index.js').Embedder | string | import('../index.js').LoadOptions} [given]
 * @returns {import('../index.js').Embedder}
 */
function embedderOf(given) {
  return typeof given === 'object' && 'embedMany' in given ? given : loadEmbedder(given);
}

/** Vector stores of these frameworks take arrays, not typed ones. @param {Iterable<number>} vector */
const plain = (vector) => Array.from(vector);

module.exports = { embedderOf, plain };
