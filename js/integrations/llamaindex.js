const { BaseEmbedding } = require('@llamaindex/core/embeddings');
const { classOver } = require('./llamaindex-class');

const GgufStreamEmbedding = classOver(BaseEmbedding);

module.exports = { GgufStreamEmbedding };
