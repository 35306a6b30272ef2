// Vercel AI SDK: embedding models of specification v3 (ai 6 and 7) and v4 (ai 7: the option `dimensions`). Nothing of the SDK is
// loaded here: a model is an object of the shape it asks for.

const path = require('node:path');
const { embedderOf, plain } = require('./shared');

const provider = 'gguf-stream';

/**
 * The SDK knows neither queries nor documents: a task and the like come in providerOptions['gguf-stream'].
 * @param {any} options of doEmbed
 */
function callOptions({ abortSignal, providerOptions, dimensions }) {
  return { ...providerOptions?.[provider], ...(dimensions !== undefined && { dimensions }), signal: abortSignal, details: true };
}

/** @param {any} info undefined where no text had the model loaded @param {number | undefined} dimensions @param {{ truncated: number, tokens: number }[]} details */
function warningsOf(info, dimensions, details) {
  const warnings = details.flatMap((d, i) =>
    d.truncated > 0 ? [{ type: 'other', message: `values[${i}] was cut: ${d.truncated} tokens are beyond the model's limit` }] : [],
  );
  const trained = info && [info.hiddenSize, ...info.dimensions];
  if (dimensions !== undefined && trained?.includes(dimensions) === false) {
    warnings.push(
      /** @type {any} */ ({ type: 'compatibility', feature: 'dimensions', details: `the model was trained for ${trained.join(', ')}, not ${dimensions}` }),
    );
  }
  return warnings;
}

/**
 * @param {import('../index.js').Embedder | string | import('../index.js').LoadOptions} [model]
 * @param {{ specificationVersion?: 'v3' | 'v4' }} [settings]
 */
function embeddingModel(model, { specificationVersion = 'v3' } = {}) {
  const embedder = embedderOf(model);
  return {
    specificationVersion,
    provider,
    get modelId() {
      const given = typeof model === 'string' ? model : embedder.info?.path;
      return given ? path.basename(given) : 'default';
    },
    embedder,
    maxEmbeddingsPerCall: Number.POSITIVE_INFINITY,
    supportsParallelCalls: false, // one call fills the processor
    /** @param {any} options */
    async doEmbed(options) {
      const details = await embedder.embedMany(options.values, callOptions(options));
      return {
        embeddings: details.map((d) => plain(d.vector)),
        usage: { tokens: details.reduce((sum, d) => sum + d.tokens, 0) },
        warnings: warningsOf(embedder.info, options.dimensions, details),
      };
    },
  };
}

module.exports = { embeddingModel };
