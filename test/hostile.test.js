// Malformed files through the public API: a GgufError with code and place, quickly, and the process goes on. The full
// list of broken headers is goloader/gguf/gguf_test.go's.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { loadEmbedder, openGguf, memoryReport } = require('..');

const model = path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
const good = fs.readFileSync(model);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hostile-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** A copy of the good file with bytes replaced at the first place where a text stands. @param {string} text @param {string} by */
function replaced(text, by) {
  const copy = Buffer.from(good);
  const at = copy.indexOf(text);
  if (at < 0 || text.length !== by.length) throw new Error(`no ${text}`);
  copy.write(by, at, 'latin1');
  return copy;
}

/** A copy with the u32 behind a key changed. @param {string} key @param {number} value */
function withNumber(key, value) {
  const copy = Buffer.from(good);
  copy.writeUInt32LE(value, copy.indexOf(key) + key.length + 4);
  return copy;
}

/** A copy with a scale of the token table set to these half bits. @param {number} bits */
async function withScale(bits) {
  const file = await openGguf(model);
  const tensor = (await file.tensors()).find((t) => t.name === 'blk.3.ffn_up.weight');
  await file.close();
  const copy = Buffer.from(good);
  copy.writeUInt16LE(bits, tensor.offset + 34 * 1000);
  return { copy, offset: tensor.offset + 34 * 1000 };
}

const cases = [
  ['an unknown architecture', () => replaced('\x04\0\0\0\0\0\0\0bert', '\x04\0\0\0\0\0\0\0mpnt'), 'ERR_ARCHITECTURE', 'general.architecture'],
  ['no heads', () => withNumber('bert.attention.head_count', 0), 'ERR_MODEL_KEY', 'bert.attention.head_count'],
  ['heads that do not divide', () => withNumber('bert.attention.head_count', 7), 'ERR_MODEL_KEY', 'bert.attention.head_count'],
  ['2^32−1 layers', () => withNumber('bert.block_count', 0xffffffff), 'ERR_MODEL_KEY', 'bert.block_count'],
  ['one layer too many', () => withNumber('bert.block_count', 7), 'ERR_MODEL_TENSOR', undefined],
  ['another hidden size', () => withNumber('bert.embedding_length', 768), 'ERR_MODEL_TENSOR', 'token_embd.weight'],
  ['an unknown pooling', () => withNumber('bert.pooling_type', 4), 'ERR_MODEL_KEY', 'bert.pooling_type'],
  ['epsilon NaN', () => withNumber('bert.attention.layer_norm_epsilon', 0x7fc00000), 'ERR_MODEL_KEY', 'bert.attention.layer_norm_epsilon'],
  ['a missing tensor', () => replaced('blk.2.attn_output_norm.bias', 'blk.2.attn_output_nurm.bias'), 'ERR_MODEL_TENSOR', 'blk.2.attn_output_norm.bias'],
  [
    'an unknown tokenizer',
    () => replaced('tokenizer.ggml.model\x08\0\0\0\x04\0\0\0\0\0\0\0bert', 'tokenizer.ggml.model\x08\0\0\0\x04\0\0\0\0\0\0\0t5t5'),
    'ERR_TOKENIZER_KIND',
    'tokenizer.ggml.model',
  ],
  ['a special id outside', () => withNumber('tokenizer.ggml.unknown_token_id', 99999), 'ERR_TOKENIZER_VOCAB', 'tokenizer.ggml.tokens'],
  ['a file of zeros', () => Buffer.alloc(1 << 20), 'ERR_GGUF_MAGIC', 'magic'],
  ['a cut file', () => good.subarray(0, good.length - 5000), 'ERR_GGUF_TRUNCATED', undefined],
];

test.each(cases)('%s', async (_name, make, code, field) => {
  const file = path.join(folder, 'model.gguf');
  fs.writeFileSync(file, make());
  const error = await loadEmbedder(file)
    .embed('x')
    .catch((e) => e);
  expect(error).toMatchObject({ name: 'GgufError', code });
  if (field) expect(error.field).toBe(field);
  expect(memoryReport().purposes).toMatchObject({ weights: 0, staging: 0, vocab: 0, index: 0 });
});

test.each([0x7c00, 0xfc00, 0x7e00])('a scale of half bits %i names the block', async (bits) => {
  const file = path.join(folder, 'scale.gguf');
  const { copy, offset } = await withScale(bits);
  fs.writeFileSync(file, copy);
  await expect(loadEmbedder(file).ready()).rejects.toMatchObject({ code: 'ERR_GGUF_NONFINITE', field: 'blk.3.ffn_up.weight', offset });
});

test('the process still embeds', async () => {
  const e = loadEmbedder();
  expect(await e.embed('alive')).toHaveLength(384);
  await e.close();
});
