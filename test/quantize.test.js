const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { calibrate, loadEmbedder, quantize } = require('..');
const golden = require('./golden');

const folder = path.join(__dirname, 'golden', 'quantize');
const tiny = path.join(__dirname, 'models', 'bert-tiny-mean.gguf');

/** The rows that make.py quantised. @param {number} columns */
function rowsOf(columns) {
  const rows = golden.vectors('all-MiniLM-L6-v2.ref.f32', 384).map((v) => v.slice(0, columns));
  if (columns === 61) for (const row of rows) row[3] = 0;
  return rows;
}

/** @param {ArrayBufferView} v */
const bytesOf = (v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength);

describe.each([384, 61])('sentence-transformers, %i dimensions', (columns) => {
  const rows = rowsOf(columns);
  const ranges = calibrate(rows.slice(0, 20));

  test('ranges', () => {
    expect(bytesOf(ranges).equals(fs.readFileSync(path.join(folder, `${columns}.ranges.f32`)))).toBe(true);
  });

  test.each(/** @type {const} */ (['int8', 'uint8', 'binary', 'ubinary']))('%s', (output) => {
    const ours = Buffer.concat(rows.map((v) => bytesOf(quantize(v, output, { ranges }))));
    expect(ours.equals(fs.readFileSync(path.join(folder, `${columns}.${output}.bin`)))).toBe(true);
  });
});

test('the first dimension is the top bit, or the lowest by bitOrder lsb', () => {
  const v = Float32Array.of(1, -1, 1, -1, 1, 1, -0, Number.NaN, 2);
  expect([...quantize(v, 'ubinary')]).toEqual([0b10101100, 0b10000000]);
  expect([...quantize(v, 'ubinary', { bitOrder: 'lsb' })]).toEqual([0b00110101, 0b00000001]);
  expect([...quantize(v, 'binary')]).toEqual([0b10101100 - 128, 0]);
});

test('int8 without ranges: the vector’s own scale', () => {
  expect([...quantize(Float32Array.of(0.5, -1, 0.25, 0), 'int8')]).toEqual([64, -127, 32, 0]);
  expect([...quantize(new Float32Array(3), 'int8')]).toEqual([0, 0, 0]);
});

test('embed, embedMany, embedStream and a matrix give what quantize makes of the float32 vectors', async () => {
  const e = loadEmbedder(tiny);
  const texts = Array.from({ length: 300 }, (_, i) => `text number ${i}`); // two slices
  const floats = await e.embedMany(texts);
  const ranges = calibrate(floats);
  for (const output of /** @type {const} */ (['int8', 'uint8', 'binary', 'ubinary'])) {
    const want = floats.map((v) => quantize(v, output, { ranges }));
    expect(await e.embedMany(texts, { output, ranges })).toEqual(want);
    expect(await e.embed(texts[7], { output, ranges })).toEqual(want[7]);
    const streamed = [];
    for await (const v of e.embedStream(texts, { output, ranges })) streamed.push(v);
    expect(streamed).toEqual(want);
    const lent = ranges.slice();
    const call = e.embedMany(texts, { output, ranges: lent });
    structuredClone(lent, { transfer: [lent.buffer] }); // as to a worker: nothing is left here
    expect(await call).toEqual(want);
    const matrix = await e.embedMany(texts, { output, ranges, matrix: true });
    expect(bytesOf(matrix).equals(Buffer.concat(want.map(bytesOf)))).toBe(true);
    expect(matrix.constructor.name).toBe(want[0].constructor.name);
    expect(await e.embedMany([], { output, ranges, matrix: true })).toEqual(matrix.slice(0, 0));
  }
  expect(await e.embedMany(texts, { output: 'matrix' })).toEqual(await e.embedMany(texts, { matrix: true }));
  await e.close();
});

test('details of scaled int8 give the scale back', async () => {
  const e = loadEmbedder(tiny);
  const { vector, scale } = await e.embed('a text', { output: 'int8', details: true });
  const exact = await e.embed('a text');
  exact.forEach((x, i) => {
    expect(Math.abs(vector[i] * scale - x)).toBeLessThanOrEqual(scale / 2 + 1e-7);
  });
  await e.close();
});

test('what is wrong is refused by name', async () => {
  const e = loadEmbedder(tiny);
  await expect(e.embed('x', { output: 'uint8' })).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'ranges' });
  await expect(e.embed('x', { output: 'int8', ranges: new Float32Array(3) })).rejects.toMatchObject({ field: 'ranges' });
  await expect(e.embed('x', { output: 'int8', ranges: new Float32Array(128).fill(Number.NaN) })).rejects.toMatchObject({ field: 'ranges' });
  await expect(e.embed('x', { output: 'matrix' })).rejects.toMatchObject({ field: 'output' });
  await expect(e.embedMany(['x'], { output: 'int8', matrix: true, details: true })).rejects.toMatchObject({ field: 'details' });
  expect(() => quantize(new Float32Array(4), 'int4')).toThrow("output must be 'float32' or 'int8' or 'uint8' or 'binary' or 'ubinary'; received \"int4\"");
  expect(() => quantize([1, 2], 'int8')).toThrow(expect.objectContaining({ field: 'vector' }));
  expect(() => calibrate([])).toThrow(expect.objectContaining({ field: 'vectors' }));
  await e.close();
});

test('quantize checks its settings as calls do, and that there is a code for every value', () => {
  const v = Float32Array.of(1, -1, 0.5, 0);
  const ranges = Float32Array.of(-1, -1, -1, -1, 1, 1, 1, 1);
  /** @type {[any, any, any, string][]} */
  const wrong = [
    [v, 'binary', { bitOrder: 'LSB' }, 'bitOrder'],
    [v, 'int8', { ranges: [...ranges] }, 'ranges'],
    [v, 'uint8', { ranges: ranges.map(() => Number.NaN) }, 'ranges'],
    [v, 'int8', { range: ranges }, 'range'],
    [v, 'uint8', null, 'settings'],
    [v, 'uint8', {}, 'ranges'],
    [Float32Array.of(1, Number.NaN), 'int8', {}, 'vector'],
    [Float32Array.of(1, Number.POSITIVE_INFINITY, 0, 0), 'uint8', { ranges }, 'vector'],
  ];
  for (const [vector, output, settings, field] of wrong)
    expect(() => quantize(vector, output, settings)).toThrow(expect.objectContaining({ name: 'GgufError', code: 'ERR_ARGUMENT', field }));
  expect(() => calibrate([Float32Array.of(1, Number.NaN)])).toThrow(expect.objectContaining({ field: 'vectors' }));
  expect(quantize(v, 'int8', { ranges, bitOrder: undefined })).toEqual(quantize(v, 'int8', { ranges }));
  expect(quantize(v, 'float32')).toBe(v);
});

test('command line: --output and --ranges', () => {
  const cli = path.join(__dirname, '..', 'js', 'cli.js');
  const run = (...args) => spawnSync(process.execPath, [cli, 'embed', '-m', tiny, ...args, 'a text'], { encoding: 'utf8' });
  expect(run('--output', 'ubinary').stdout.trim().split(' ')).toHaveLength(8);
  const file = path.join(fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'ranges-')), 'ranges.json');
  fs.writeFileSync(file, JSON.stringify([new Array(64).fill(-1), new Array(64).fill(1)]));
  expect(run('--output', 'uint8', '--ranges', file).stdout.trim().split(' ').map(Number)).toHaveLength(64);
  expect(run('--output', 'uint8').status).toBe(2);
  expect(run('--output', 'int4').status).toBe(2);
  fs.rmSync(path.dirname(file), { recursive: true });
});
