// LlamaIndex.TS: documents and queries get the model's prefixes.

const { embedderOf, plain } = require('./shared');

/** Two of them, as in langchain-class.js; LlamaIndex.TS also warns where both are loaded. @param {typeof import('@llamaindex/core/embeddings').BaseEmbedding} BaseEmbedding */
function classOver(BaseEmbedding) {
  return class GgufStreamEmbedding extends BaseEmbedding {
    embedBatchSize = 1024; // a progress step; batches of the model are made inside
    /** @param {import('../index.js').Embedder | string | import('../index.js').LoadOptions} [model] */
    constructor(model) {
      super();
      this.embedder = embedderOf(model);
      /** The base class has a property here, not a method. @param {string[]} texts */
      this.getTextEmbeddings = async (texts) => (await this.embedder.embedMany(texts, { task: 'document' })).map(plain);
    }

    /** @param {string} text */
    async getTextEmbedding(text) {
      return plain(await this.embedder.embed(text, { task: 'document' }));
    }

    /** @param {import('@llamaindex/core/llms').MessageContentDetail} query */
    async getQueryEmbedding(query) {
      return query.type === 'text' ? plain(await this.embedder.embed(query.text, { task: 'query' })) : null;
    }
  };
}

module.exports = { classOver };
