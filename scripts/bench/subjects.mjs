// What is compared: each peer in its own folder, pinned, driven in its best way. `open` gives
// { embed(text), embedMany(texts), close() }; everything is loaded from `folder`, nothing from our node_modules.

import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.join(import.meta.dirname, '..', '..');

/** @param {string} folder @param {string} name */
const requireFrom = (folder, name) => createRequire(path.join(folder, 'index.js'))(name);

/** An ES module; its package's `import` entry. @param {string} folder @param {string} name */
async function importFrom(folder, name) {
  const own = path.join(folder, 'node_modules', name);
  const { exports, module } = requireFrom(folder, path.join(own, 'package.json'));
  let entry = exports?.['.'] ?? exports ?? module;
  while (typeof entry === 'object') entry = entry.node ?? entry.import ?? entry.default;
  return import(pathToFileURL(path.join(own, entry)).href);
}

/** @param {{ model: string, threads: number }} o @param {string} precision */
async function ggufStream({ model, threads }, precision) {
  const { loadEmbedder } = createRequire(import.meta.url)(root);
  const embedder = loadEmbedder({ model, threads, precision });
  await embedder.ready();
  return embedder;
}

/** One context is one sequence at a time, so a context a thread; inputs must be shorter than the context. */
async function nodeLlamaCpp({ folder, model, threads }) {
  const { getLlama } = await importFrom(folder, 'node-llama-cpp');
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error', maxThreads: threads });
  const loaded = await llama.loadModel({ modelPath: model });
  const size = 520;
  const contexts = [];
  for (let i = 0; i < threads; i++) contexts.push(await loaded.createEmbeddingContext({ contextSize: size, batchSize: size, threads: 1 }));
  const embed = async (text, context = contexts[0]) => Float32Array.from((await context.getEmbeddingFor(text)).vector);
  const embedMany = async (texts) => {
    const out = new Array(texts.length);
    let next = 0;
    const drain = async (context) => {
      for (let i = next++; i < texts.length; i = next++) out[i] = await embed(texts[i], context);
    };
    await Promise.all(contexts.map(drain));
    return out;
  };
  return { embed, embedMany, close: () => llama.dispose() };
}

/** The masked mean of hidden states [texts, longest, size], normalised. */
function pool(hidden, lengths) {
  const [, longest, size] = hidden.dims;
  return lengths.map((n, text) => {
    const v = new Float32Array(size);
    for (let t = 0; t < n; t++) {
      const at = (text * longest + t) * size;
      for (let d = 0; d < size; d++) v[d] += hidden.data[at + d];
    }
    const norm = Math.hypot(...v);
    return v.map((x) => x / norm);
  });
}

const batchTexts = 16;
const batchTokens = 2048; // padded

/** Runs of texts of like lengths, so that little is padded: indices, the last of each the longest. */
function* batchesOf(ids) {
  const order = ids.map((_, i) => i).sort((a, b) => ids[a].length - ids[b].length);
  while (order.length > 0) {
    let n = 1;
    while (n < Math.min(batchTexts, order.length) && (n + 1) * ids[order[n]].length <= batchTokens) n++;
    yield order.splice(0, n);
  }
}

/** onnxruntime has no tokenizer: transformers.js' is used. */
async function onnxruntime({ folder, onnx, threads }, file) {
  const ort = requireFrom(folder, 'onnxruntime-node');
  const { AutoTokenizer, env } = await importFrom(folder, '@huggingface/transformers');
  env.allowRemoteModels = false;
  env.localModelPath = path.dirname(onnx);
  const tokenizer = await AutoTokenizer.from_pretrained(path.basename(onnx));
  const session = await ort.InferenceSession.create(path.join(onnx, 'onnx', file), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const run = async (ids) => {
    const longest = ids[ids.length - 1].length;
    const shape = [ids.length, longest];
    const tokens = new BigInt64Array(ids.length * longest);
    const mask = new BigInt64Array(ids.length * longest);
    for (const [i, list] of ids.entries()) for (const [t, id] of list.entries()) [tokens[i * longest + t], mask[i * longest + t]] = [BigInt(id), 1n];
    const feeds = { input_ids: tokens, attention_mask: mask, token_type_ids: new BigInt64Array(ids.length * longest) };
    const tensors = session.inputNames.map((name) => [name, new ort.Tensor('int64', feeds[name], shape)]);
    const { last_hidden_state: hidden } = await session.run(Object.fromEntries(tensors));
    return pool(
      hidden,
      ids.map((list) => list.length),
    );
  };
  const encode = (text) => tokenizer(text, { truncation: true, max_length: 512, return_tensor: false }).input_ids;
  const embedMany = async (texts) => {
    const ids = texts.map(encode);
    const out = new Array(texts.length);
    for (const batch of batchesOf(ids)) {
      const vectors = await run(batch.map((i) => ids[i]));
      for (const [n, i] of batch.entries()) out[i] = vectors[n];
    }
    return out;
  };
  return { embed: async (text) => (await run([encode(text)]))[0], embedMany, close: () => session.release() };
}

/** Packages of the peers, installed together into one folder each. */
export const packages = {
  'node-llama-cpp': { 'node-llama-cpp': '3.22.1' },
  'onnxruntime-node': { 'onnxruntime-node': '1.30.0', '@huggingface/transformers': '4.3.1' },
};

/** The table. `peer` is a key of packages. */
export const subjects = {
  exact: { open: (o) => ggufStream(o, 'exact') },
  fast: { open: (o) => ggufStream(o, 'fast') },
  onnxF32: { peer: 'onnxruntime-node', open: (o) => onnxruntime(o, 'model.onnx') },
  onnxInt8: { peer: 'onnxruntime-node', open: (o) => onnxruntime(o, 'model_quantized.onnx') },
  llamaCpp: { peer: 'node-llama-cpp', open: nodeLlamaCpp },
};
