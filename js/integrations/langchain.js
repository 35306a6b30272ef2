const { Embeddings } = require('@langchain/core/embeddings');
const { classOver } = require('./langchain-class');

const GgufStreamEmbeddings = classOver(Embeddings);

module.exports = { GgufStreamEmbeddings };
