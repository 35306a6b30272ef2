const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { loadEmbedder } = require('../..');
const { GgufStreamEmbeddings } = require('../../js/integrations/langchain');
const { GgufStreamEmbedding } = require('../../js/integrations/llamaindex');
const { embeddingModel } = require('../../js/integrations/ai-sdk');

// a tiny model by the name of a family with prefixes for queries and documents
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'frameworks-'));
const model = path.join(folder, 'e5.gguf');
const bytes = fs.readFileSync(path.join(__dirname, '..', 'models', 'nomic-tiny-mean.gguf'));
bytes.write('e5-small-v2-tst', bytes.indexOf('nomic-tiny-mean')); // general.name, of the same length
fs.writeFileSync(model, bytes);

const texts = ['a first text', 'a second one', 'and a third'];
const embedder = loadEmbedder(model);
globalThis.AI_SDK_LOG_WARNINGS = false;
/** @type {number[][]} */
let documents;
/** @type {number[]} */
let query;

beforeAll(async () => {
  documents = (await embedder.embedMany(texts, { task: 'document' })).map((v) => Array.from(v));
  query = Array.from(await embedder.embed('a query', { task: 'query' }));
  expect(query).not.toEqual(Array.from(await embedder.embed('a query')));
});

afterAll(async () => {
  await embedder.close();
  fs.rmSync(folder, { recursive: true });
});

test('LangChain.js: Embeddings in a vector store of its own', async () => {
  const { Embeddings } = require('@langchain/core/embeddings');
  const { FakeVectorStore } = require('@langchain/core/utils/testing');
  const embeddings = new GgufStreamEmbeddings(embedder);
  expect(embeddings).toBeInstanceOf(Embeddings);
  expect(await embeddings.embedDocuments(texts)).toEqual(documents);
  expect(await embeddings.embedQuery('a query')).toEqual(query);
  expect(await embeddings.embedDocuments([])).toEqual([]);
  await expect(embeddings.embedDocuments([1])).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  const own = new GgufStreamEmbeddings(); // the bundled model
  const store = await FakeVectorStore.fromTexts(['tax law', 'a kitten', 'a train'], [1, 2, 3], own);
  expect((await store.similaritySearch('a cat', 1))[0].pageContent).toBe('a kitten');
  await own.embedder.close();
});

test('LlamaIndex.TS: BaseEmbedding sets the embeddings of nodes', async () => {
  const { BaseEmbedding } = require('@llamaindex/core/embeddings');
  const { TextNode } = require('@llamaindex/core/schema');
  const embedding = new GgufStreamEmbedding(embedder);
  expect(embedding).toBeInstanceOf(BaseEmbedding);
  expect(await embedding.getTextEmbedding(texts[0])).toEqual(documents[0]);
  expect(await embedding.getTextEmbeddingsBatch(texts)).toEqual(documents);
  expect(await embedding.getQueryEmbedding({ type: 'text', text: 'a query' })).toEqual(query);
  expect(await embedding.getQueryEmbedding({ type: 'image_url', image_url: { url: 'x' } })).toBeNull();
  const nodes = await embedding(texts.map((text) => new TextNode({ text })));
  expect(nodes.map((n) => n.embedding)).toEqual(documents);
});

describe.each([
  ['ai 6', 'ai', 'v3'],
  ['ai 7', 'ai-7', 'v3'],
  ['ai 7', 'ai-7', 'v4'],
])('Vercel AI SDK, %s (%s), model %s', (_, name, specificationVersion) => {
  /** @type {typeof import('ai')} */
  let sdk;
  beforeAll(async () => {
    sdk = await import(name); // ai 7 is of ECMAScript modules only
  });
  const sdkModel = embeddingModel(embedder, { specificationVersion });
  const providerOptions = { 'gguf-stream': { task: 'document' } };

  test('embedMany and embed', async () => {
    const many = await sdk.embedMany({ model: sdkModel, values: texts, providerOptions });
    expect(many.embeddings).toEqual(documents);
    let tokens = 0;
    for (const t of texts) tokens += await embedder.countTokens(t, { task: 'document' });
    expect(many.usage.tokens).toBe(tokens);
    expect(many.warnings).toEqual([]);
    expect((await sdk.embed({ model: sdkModel, value: 'a query', providerOptions: { 'gguf-stream': { task: 'query' } } })).embedding).toEqual(query);
  });

  test('an aborted call, a wrong option, a text that is cut', async () => {
    const abortSignal = AbortSignal.abort(new Error('enough'));
    await expect(sdk.embed({ model: sdkModel, value: 'x', abortSignal, maxRetries: 0 })).rejects.toThrow('enough');
    const wrong = { 'gguf-stream': { dimension: 3 } };
    await expect(sdk.embed({ model: sdkModel, value: 'x', providerOptions: wrong, maxRetries: 0 })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    const cut = await sdk.embed({ model: sdkModel, value: 'many words in here', providerOptions: { 'gguf-stream': { maxTokens: 4 } } });
    expect(cut.warnings).toEqual([{ type: 'other', message: expect.stringMatching(/^values\[0\] was cut: \d+ tokens/) }]);
  });
});

test('Vercel AI SDK: no values, before the model is loaded', async () => {
  const { embedMany } = await import('ai-7');
  const unused = embeddingModel(model, { specificationVersion: 'v4' });
  expect((await embedMany({ model: unused, values: [], dimensions: 32 })).embeddings).toEqual([]);
});

test('Vercel AI SDK v4: dimensions', async () => {
  const v4 = embeddingModel(embedder, { specificationVersion: 'v4' });
  const { embeddings, warnings } = await v4.doEmbed({ values: texts, dimensions: 32 });
  expect(embeddings).toEqual((await embedder.embedMany(texts, { dimensions: 32 })).map((v) => Array.from(v)));
  expect(warnings).toEqual([{ type: 'compatibility', feature: 'dimensions', details: expect.stringContaining('not 32') }]);
  expect((await v4.doEmbed({ values: texts, dimensions: 96 })).warnings).toEqual([]);
});
