// Short names of models on the Hugging Face hub: the repository of each. A new one is a row here.

/** Well-known repositories of architectures that load here. */
const shortNames = Object.freeze({
  'all-MiniLM-L6-v2': 'second-state/All-MiniLM-L6-v2-Embedding-GGUF',
  'bge-small-en-v1.5': 'CompendiumLabs/bge-small-en-v1.5-gguf',
  'bge-base-en-v1.5': 'CompendiumLabs/bge-base-en-v1.5-gguf',
  'bge-large-en-v1.5': 'CompendiumLabs/bge-large-en-v1.5-gguf',
  'gte-large': 'ChristianAzinn/gte-large-gguf',
  'mxbai-embed-large-v1': 'ChristianAzinn/mxbai-embed-large-v1-gguf',
  'nomic-embed-text-v1': 'nomic-ai/nomic-embed-text-v1-GGUF',
  'nomic-embed-text-v1.5': 'nomic-ai/nomic-embed-text-v1.5-GGUF',
  'snowflake-arctic-embed-m': 'ChristianAzinn/snowflake-arctic-embed-m-gguf',
});

module.exports = { shortNames };
