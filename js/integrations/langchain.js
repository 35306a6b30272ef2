// LangChain.js: documents and queries get the model's prefixes. Its caller, for retries and limits of a remote service, is passed by.

const { Embeddings } = require('@langchain/core/embeddings');
const { embedderOf, plain } = require('./shared');

class GgufStreamEmbeddings extends Embeddings {
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
}

module.exports = { GgufStreamEmbeddings };
