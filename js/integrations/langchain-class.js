// LangChain.js: documents and queries get the model's prefixes. Its caller, for retries and limits of a remote service, is passed by.

const { embedderOf, plain } = require('./shared');

/** LangChain.js is there twice, for import and for require, and what extends the one is no Embeddings of the other. @param {typeof import('@langchain/core/embeddings').Embeddings} Embeddings */
function classOver(Embeddings) {
  return class GgufStreamEmbeddings extends Embeddings {
    /** @param {import('../index.js').Embedder | string | import('../index.js').LoadOptions} [model] */
    constructor(model) {
      super({});
      this.embedder = embedderOf(model);
    }

    /** @param {string[]} documents @returns {Promise<number[][]>} */
    async embedDocuments(documents) {
      return (await this.embedder.embedMany(documents, { task: 'document' })).map(plain);
    }

    /** @param {string} query @returns {Promise<number[]>} */
    async embedQuery(query) {
      return plain(await this.embedder.embed(query, { task: 'query' }));
    }
  };
}

module.exports = { classOver };
