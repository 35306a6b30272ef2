const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const v8 = require('node:v8');
const { pathToFileURL } = require('node:url');
const { Worker } = require('node:worker_threads');
const { loadEmbedder, openGguf, GgufError, MemoryMonitor, MemoryGuard, CrashPrevention, memoryReport, kernels, version } = require('..');
const { Kind } = require('../js/kinds');
const golden = require('./golden');

const model = path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
const tiny = path.join(__dirname, 'models', 'bert-tiny-mean.gguf');
const texts = golden.texts('texts.jsonl');
const wanted = golden.vectors('all-MiniLM-L6-v2.q8_0.wref.f32', 384);

/** @param {AsyncIterable<unknown>} stream */
async function drain(stream) {
  for await (const _ of stream);
}

describe('embed', () => {
  const embedder = loadEmbedder();
  afterAll(() => embedder.close());

  test('one text equals the golden', async () => {
    const v = await embedder.embed(texts[0]);
    expect(v).toBeInstanceOf(Float32Array);
    expect(v).toHaveLength(384);
    expect(golden.oneMinusCos(v, wanted[0])).toBeLessThanOrEqual(1e-6);
  });

  test('all goldens, and the same bits alone, in any batch, in any order', async () => {
    const all = await embedder.embedMany(texts);
    for (const [i, v] of all.entries()) expect(golden.oneMinusCos(v, wanted[i])).toBeLessThanOrEqual(1e-6);
    const reversed = await embedder.embedMany([...texts].reverse());
    for (const [i, v] of reversed.reverse().entries()) expect(v).toEqual(all[i]);
    const alone = await Promise.all(texts.map((t) => embedder.embed(t)));
    expect(alone).toEqual(all);
    const matrix = await embedder.embedMany(texts, { output: 'matrix' });
    expect(Array.from(matrix)).toEqual(all.flatMap((v) => Array.from(v)));
  });

  test('fast stays within 1e-3', async () => {
    const fast = loadEmbedder({ precision: 'fast' });
    const all = await fast.embedMany(texts);
    expect(Math.max(...all.map((v, i) => golden.oneMinusCos(v, wanted[i])))).toBeLessThanOrEqual(1e-3);
    await fast.close();
  });

  test('streams of any length, in order, with back-pressure', async () => {
    let taken = 0;
    function* source() {
      for (let i = 0; i < 3000; i++) {
        taken++;
        yield `text ${i % 7}`;
      }
    }
    const first = await embedder.embedMany(Array.from({ length: 7 }, (_, i) => `text ${i}`));
    let n = 0;
    for await (const v of embedder.embedStream(source())) {
      expect(v).toEqual(first[n++ % 7]);
      if (n === 10) expect(taken).toBeLessThan(1500);
      if (n === 600) break;
    }
    expect(taken).toBeLessThan(3000);
  });

  test("what a stream's source throws comes after the vectors of the texts before", async () => {
    for (const n of [0, 3, 700]) {
      let given = 0;
      const torn = embedder.embedStream(
        (function* () {
          for (let i = 0; i < n; i++) yield `text ${i}`;
          throw new Error('torn');
        })(),
      );
      await expect(
        (async () => {
          for await (const v of torn) given += v.length / 384;
        })(),
      ).rejects.toThrow('torn');
      expect(given).toBe(n);
    }
  });

  test('a slow stream is answered as it comes, and what nobody waits for is aborted', async () => {
    let asked = 0;
    let closed = false;
    async function* slow() {
      try {
        for (;;) {
          asked++;
          yield `text ${asked}`;
          if (asked === 2) await new Promise(() => {}); // for ever
        }
      } finally {
        closed = true;
      }
    }
    const stream = embedder.embedStream(slow());
    expect((await stream.next()).value).toHaveLength(384);
    expect((await stream.next()).value).toHaveLength(384);
    await stream.return();
    expect([asked, closed]).toEqual([2, false]); // it is busy; nobody waits for it
    const paused = embedder.embedStream(
      (function* () {
        try {
          yield 'a';
          yield 'b';
          yield 42;
        } finally {
          closed = true;
        }
      })(),
    );
    await expect(drain(paused)).rejects.toThrow(/texts\[2\] must be a string; received 42/);
    expect(closed).toBe(true);
    closed = false;
    const ahead = embedder.embedStream(
      (async function* () {
        try {
          for (;;) yield await delay(10, 'a');
        } finally {
          closed = await delay(10, true);
        }
      })(),
    );
    await ahead.next();
    await delay(50); // meanwhile the source is done with a text that nobody takes
    await ahead.return();
    expect(closed).toBe(true);
    const faulty = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ value: 'a', done: false }),
        return: async () => {
          throw new Error('not closed');
        },
      }),
    };
    const left = embedder.embedStream(faulty);
    await left.next();
    await expect(left.return()).rejects.toThrow('not closed');
    await expect(drain(embedder.embedStream(faulty, { signal: AbortSignal.timeout(50) }))).rejects.toMatchObject({ name: 'TimeoutError' });
    const c = new AbortController();
    const endless = embedder.embedStream(
      (function* () {
        for (;;) yield 'more words for the stream';
      })(),
      { signal: c.signal },
    );
    await endless.next();
    c.abort(new Error('enough'));
    await expect(drain(endless)).rejects.toThrow('enough');
  });

  test('a matrix of many texts is one external array in their order; NUL is a character like others', async () => {
    const list = Array.from({ length: 700 }, (_, i) => `number ${i % 50}`);
    const [matrix, vectors] = [await embedder.embedMany(list, { matrix: true }), await embedder.embedMany(list.slice(0, 50))];
    expect(matrix).toHaveLength(700 * 384);
    for (const [i] of list.entries()) expect(matrix.subarray(i * 384, i * 384 + 384)).toEqual(vectors[i % 50]);
    expect(memoryReport().purposes.output).toBeGreaterThanOrEqual(matrix.byteLength);
    expect(await embedder.embed('a\0b')).not.toEqual(await embedder.embed('a'));
  });

  test('a text of 64 MiB is refused at once', async () => {
    const text = 'x'.repeat(64 << 20);
    const measure = jest.spyOn(Buffer, 'byteLength');
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    await expect(embedder.embed(text)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    expect(turned).toBe(false);
    expect(measure).not.toHaveBeenCalled(); // that takes time itself
    measure.mockRestore();
  });

  test('errors carry the stack of the call, a getter that throws is heard', async () => {
    async function mine() {
      return embedder.embed('word '.repeat(600), { truncate: false });
    }
    const error = await mine().catch((e) => e);
    expect(error.stack).toMatch(/^GgufError: .*\n\s+at .*embedder\.test\.js/);
    const { prepareStackTrace } = Error;
    Error.prepareStackTrace = (_, frames) => frames; // then a stack is no string
    const frames = await mine().catch((e) => e);
    Error.prepareStackTrace = prepareStackTrace;
    expect(frames).toMatchObject({ name: 'GgufError', code: 'ERR_TOO_LONG', message: error.message });
    const options = {
      get dimensions() {
        throw new Error('got');
      },
    };
    await expect(embedder.embed('x', options)).rejects.toThrow('got');
    expect(() => loadEmbedder({ threads: -0 })).toThrow(/threads must be an integer from 1 to 1024; received -0/);
    expect(() => loadEmbedder({ treads: 1 })).toThrow(/did you mean 'threads'/);
  });

  test('details, tokens, truncation', async () => {
    const long = 'word '.repeat(600);
    const { vector, tokens, truncated } = await embedder.embed(long, { details: true });
    expect([vector.length, tokens, truncated]).toEqual([384, 512, 90]);
    await expect(embedder.embed(long, { truncate: false })).rejects.toMatchObject({ code: 'ERR_TOO_LONG', field: 'text' });
    const list = [...Array(300).fill('short'), long];
    for (const matrix of [false, true]) {
      await expect(embedder.embedMany(list, { truncate: false, matrix })).rejects.toMatchObject({ code: 'ERR_TOO_LONG', field: 'texts[300]' });
      await expect(embedder.embedMany(list.slice(298), { truncate: false, matrix })).rejects.toThrow(/^texts\[2\] has 602 tokens/);
    }
    expect(await embedder.countTokens(long)).toBe(602);
    expect(Array.from(await embedder.tokenize('hello [SEP] world'))).toEqual([101, 7592, 102, 2088, 102]);
    expect(Array.from(await embedder.tokenize('[SEP]', { parseSpecial: false }))).toEqual([101, 1031, 19802, 1033, 102]);
  });

  test('lone surrogates become U+FFFD; empty lists and texts are fine', async () => {
    expect(await embedder.embed('a\ud800b')).toEqual(await embedder.embed('a\ufffdb'));
    expect(await embedder.embedMany([])).toEqual([]);
    const holes = new Array(1e6); // refused without their copy: of 1e8 it takes seconds
    const copy = jest.spyOn(holes, Symbol.iterator);
    await expect(embedder.embedMany(holes, { matrix: true })).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'texts[0]' });
    expect(copy).not.toHaveBeenCalled();
    class Odd extends Array {
      slice() {
        return /** @type {any} */ (undefined);
      }
    }
    expect(await embedder.embedMany(Odd.from(['a', 'b']))).toEqual(await embedder.embedMany(['a', 'b']));
    for (const call of ['embed', 'tokenize', 'countTokens'])
      await expect(embedder[call]('a', { prefix: 'x'.repeat(2 ** 20 + 1) })).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'prefix' });
    expect(golden.oneMinusCos(await embedder.embed(''), wanted[texts.indexOf('')])).toBeLessThanOrEqual(1e-6);
  });

  test('dimensions, normalize, similarity', async () => {
    const v = await embedder.embed('cats', { dimensions: 128 });
    expect(v).toHaveLength(128);
    expect(embedder.similarity(v, v)).toBe(1);
    expect(() => embedder.similarity(v, new Float32Array(3))).toThrow(GgufError);
    const codes = await embedder.embed('cats', { dimensions: 128, output: 'int8' });
    expect(embedder.similarity(codes, codes)).toBe(1);
    const bits = await embedder.embed('cats', { output: 'ubinary' });
    expect(() => embedder.similarity(bits, bits)).toThrow(/a must be a Float32Array, Float64Array or Int8Array/);
  });

  test('normalize: false leaves the length that pooling gives; the direction is the same', async () => {
    const length = (/** @type {Float32Array} */ v) => Math.hypot(...v);
    const [unit, raw] = [await embedder.embed('cats'), await embedder.embed('cats', { normalize: false })];
    expect(length(unit)).toBeCloseTo(1, 6);
    expect(Math.abs(length(raw) - 1)).toBeGreaterThan(0.01);
    expect(golden.oneMinusCos(raw, unit)).toBeLessThan(1e-12);
  });

  test('maxTextBytes holds for a stream, too', async () => {
    const e = loadEmbedder({ model: tiny, maxTextBytes: 8 });
    const stream = e.embedStream(['12345678', 'ééééé']);
    await expect(drain(stream)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'texts[1]' });
    await e.close();
  });

  test.each([1e-310, 1e-160, 1e-100, 1, 1e100, 1e160, Number.MAX_VALUE / 2])('similarity of vectors of %d', (size) => {
    const a = Float64Array.of(size, 2 * size, 0);
    expect(embedder.similarity(a, a)).toBeCloseTo(1, 6);
    expect(embedder.similarity(a, Float64Array.of(-3, -6, 0))).toBeCloseTo(-1, 6);
    expect(embedder.similarity(Float64Array.of(3, 0, 0), a)).toBeCloseTo(1 / Math.sqrt(5), 6);
    expect(embedder.similarity(a, new Float64Array(3))).toBe(0);
  });

  test.each([
    [42, undefined, /text must be a string; received 42/],
    ['x', { dimension: 3 }, /no option 'dimension'; did you mean 'dimensions'/],
    ['x', { dimensions: Number.NaN }, /dimensions must be an integer/],
    ['x', { normalize: null }, /normalize must be true or false; received null/],
    ['x', { signal: {} }, /signal must be an AbortSignal/],
    ['x', { signal: Object.assign(new EventTarget(), { aborted: false }) }, /signal must be an AbortSignal/],
    ['x', null, /options must be a plain object/],
    ['x', new Map([['dimensions', 3]]), /options must be a plain object/],
    ['x'.repeat(1 << 21), undefined, /maxTextBytes/],
  ])('argument %#', async (text, options, message) => {
    await expect(embedder.embed(text, options)).rejects.toThrow(message);
    await expect(embedder.embed(text, options)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', kind: 'argument' });
  });

  test('aborting before and during a call rejects with the reason', async () => {
    await expect(embedder.embed('x', { signal: AbortSignal.abort('why') })).rejects.toBe('why');
    const c = new AbortController();
    const pending = embedder.embedMany(Array(2000).fill('a text that takes a while '.repeat(10)), { signal: c.signal });
    setTimeout(() => c.abort(new Error('enough')), 20);
    await expect(pending).rejects.toThrow('enough');
    expect(await embedder.embed('still works')).toHaveLength(384);
  });

  test('an abort ends a stream whose source is silent, and a call that waits for its turn', async () => {
    async function* silent() {
      yield 'a text';
      await new Promise((r) => setTimeout(r, 20000).unref());
    }
    await expect(drain(embedder.embedStream(silent(), { signal: AbortSignal.timeout(200) }))).rejects.toMatchObject({ name: 'TimeoutError' });
    const stop = new AbortController();
    const calls = Array.from({ length: 8 }, () => embedder.embedMany(Array(200).fill('many words '.repeat(100)), { signal: stop.signal }));
    const ended = Promise.allSettled(calls).then(() => 'ended');
    await new Promise((r) => setTimeout(r, 50)); // by now the core has them
    stop.abort();
    expect(await Promise.race([ended, new Promise((r) => setImmediate(r))])).toBe('ended');
  });

  test('64 concurrent calls with signals firing at random', async () => {
    const want = await embedder.embed('one text');
    const results = await Promise.allSettled(
      Array.from({ length: 64 }, (_, i) => {
        const c = new AbortController();
        if (i % 3 === 0) setTimeout(() => c.abort(), i % 5);
        return embedder.embed('one text', { signal: c.signal });
      }),
    );
    for (const r of results) {
      if (r.status === 'fulfilled') expect(r.value).toEqual(want);
      else expect(r.reason.name).toBe('AbortError');
    }
  });

  test('while a model works other calls go on', async () => {
    const other = loadEmbedder({ precision: 'fast' });
    await Promise.all([embedder.ready(), other.ready()]);
    const stop = new AbortController();
    let ended = false;
    const long = embedder.embedMany(Array(60).fill('a text of many words '.repeat(100)), { signal: stop.signal }).finally(() => {
      ended = true;
    });
    await new Promise((r) => setTimeout(r, 50)); // by now it is one job under way
    expect(await other.embed('a text')).toHaveLength(384);
    expect(await embedder.countTokens('a text')).toBe(4);
    await other.close();
    expect(ended).toBe(false);
    stop.abort();
    await expect(long).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('a full queue rejects and loses nothing', async () => {
    const small = loadEmbedder({ maxQueuedTexts: 4 });
    const first = small.embedMany(['a', 'b', 'c']);
    await expect(small.embedMany(['d', 'e'])).rejects.toMatchObject({ code: 'ERR_BUSY' });
    expect(await first).toHaveLength(3);
    expect(await small.embed('d')).toHaveLength(384);
    await small.close();
    expect(() => loadEmbedder({ maxQueuedTexts: 65537 })).toThrow(/maxQueuedTexts must be an integer from 1 to 65536/);
  });

  test('a list of more texts than may be queued leaves room for other calls', async () => {
    const stop = new AbortController();
    const long = embedder.embedMany(Array(65536).fill('x'), { signal: stop.signal });
    expect(await embedder.embed('a query')).toHaveLength(384);
    stop.abort();
    await expect(long).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('tokens are counted as they are embedded, with the prefix of the embedder', async () => {
    const prefixed = loadEmbedder({ prefix: 'some words in front: ', maxTokens: 3 });
    expect(await prefixed.countTokens('text')).toBe(await embedder.countTokens('some words in front: text'));
    expect(await prefixed.countTokens('text', { prefix: '' })).toBe(3);
    await prefixed.close();
  });
});

test('long texts that wait are counted, and so many are refused', async () => {
  const e = loadEmbedder();
  await e.embed('loads');
  const long = 'a'.repeat(1 << 20); // one word, so that they do not wait for long
  const all = Promise.allSettled(Array.from({ length: 140 }, () => e.embed(long))); // before the rest may throw
  expect(e.memory().purposes.staging).toBeGreaterThan(100 * 1024 * 1024);
  const refused = (await all).filter((s) => s.status === 'rejected').map((s) => s.reason);
  expect(refused).toHaveLength(140 - 128);
  for (const error of refused) expect(error).toMatchObject({ code: 'ERR_BUSY', message: expect.stringContaining('characters') });
  expect(e.memory().purposes.staging).toBe(0);
  await e.close();
});

describe('settings of a load', () => {
  test.each(['mean', 'cls', 'last'])('pooling %s overrides that of the file', async (pooling) => {
    const e = loadEmbedder({ model: tiny, pooling: /** @type {'mean'} */ (pooling) }); // the tiny files differ in nothing else
    const vectors = await e.embedMany(texts);
    const goldens = golden.vectors(`bert-tiny-${pooling}.ref.f32`, 64);
    for (const [i, v] of vectors.entries()) expect(golden.oneMinusCos(v, goldens[i])).toBeLessThanOrEqual(1e-6);
    expect(e.info.pooling).toBe(pooling);
    await e.close();
  });

  test('device and threads reach the core, which gives the same bits', async () => {
    const vectors = [];
    const submit = jest.spyOn(require('../js/native').native(), 'submit');
    for (const settings of [{ threads: 1 }, { threads: 2, device: 'cpu' }, { device: 'auto' }]) {
      const e = loadEmbedder({ model: tiny, .../** @type {any} */ (settings) });
      vectors.push(await e.embedMany(texts, { matrix: true }));
      const [, , load] = submit.mock.calls.filter(([kind]) => kind === Kind.open).pop();
      expect(JSON.parse(/** @type {string} */ (load))).toMatchObject(settings);
      expect(e.info.device).toBe('cpu');
      await e.close();
    }
    expect(vectors[1]).toEqual(vectors[0]);
    expect(vectors[2]).toEqual(vectors[0]);
    submit.mockRestore();
    expect(() => loadEmbedder({ device: /** @type {any} */ ('gpu') })).toThrow(/device must be 'auto' or 'cpu'/);
  });
});

describe('a life', () => {
  test('Symbol.asyncDispose closes', async () => {
    const dispose = /** @type {any} */ (Symbol).asyncDispose ?? Symbol.for('nodejs.asyncDispose');
    const [e, file] = /** @type {any[]} */ ([loadEmbedder(tiny), await openGguf(tiny)]);
    await e.ready();
    await Promise.all([e[dispose](), file[dispose]()]);
    await expect(e.embed('x')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(file.get('general.name')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('lazy, shared, harmless to await, closed twice', async () => {
    const e = await loadEmbedder(model);
    expect(e.info).toBeUndefined();
    const [a, b] = await Promise.all([e.ready(), e.ready()]);
    expect(a).toBe(e);
    expect(b).toBe(e);
    expect(e.info).toMatchObject({ architecture: 'bert', hiddenSize: 384, pooling: 'mean', precision: 'exact' });
    await Promise.all([e.close(), e.close()]);
    await expect(e.embed('x')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('a model by its URL; what is no option, path or URL is refused', async () => {
    const url = pathToFileURL(model);
    for (const given of [url, url.href, { model: url.href }]) {
      const e = loadEmbedder(given);
      expect(await e.embed('x')).toHaveLength(384);
      await e.close();
      const file = await openGguf(given.model ?? given);
      await file.close();
    }
    for (const given of [Promise.resolve(model), new Date(), new URL('https://example.org/model.gguf')])
      expect(() => loadEmbedder(given)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining('a plain object') }));
    for (const given of [new URL('file:///a%2Fb.gguf'), 'file:///a%2Fb.gguf', 'file://['])
      expect(() => loadEmbedder(given)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'model' }));
  });

  test('a load refused under the memoryLimit of another does not fail ours', async () => {
    for (let round = 0; round < 5; round++) {
      const [small, usual] = [loadEmbedder({ model, memoryLimit: 1e6 }), loadEmbedder(model)];
      const [first, second] = await Promise.allSettled([small.ready(), usual.ready()]);
      if (first.status === 'rejected') expect(first.reason.code).toBe('ERR_MEMORY_LIMIT'); // not where it shares the other's load
      expect(second).toMatchObject({ status: 'fulfilled' });
      await Promise.all([small.close(), usual.close()]);
    }
  });

  test('close rejects what is queued and leaves no memory behind', async () => {
    const e = loadEmbedder(model);
    await e.ready();
    const calls = Array.from({ length: 40 }, () => e.embedMany(Array(50).fill('a text of some length')));
    const settled = Promise.allSettled(calls);
    await e.close();
    const reasons = (await settled).filter((r) => r.status === 'rejected');
    for (const r of reasons) expect(r.reason.code).toBe('ERR_CLOSED');
    expect(reasons.length).toBeGreaterThan(0);
    expect(memoryReport().purposes).toMatchObject({ weights: 0, activations: 0, vocab: 0, staging: 0 });
  });

  test('a failed load names the cause and may be retried', async () => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-')), 'model.gguf');
    const e = loadEmbedder(file);
    await expect(e.embed('x')).rejects.toMatchObject({ name: 'GgufError', code: 'ERR_FILE_OPEN', kind: 'io', field: 'path' });
    fs.copyFileSync(model, file);
    expect(await e.embed('x')).toHaveLength(384);
    await e.close();
    fs.writeFileSync(file, fs.readFileSync(model).subarray(0, 1e6));
    await expect(loadEmbedder(file).ready()).rejects.toMatchObject({ code: 'ERR_GGUF_TRUNCATED', offset: 1e6 });
    fs.writeFileSync(file, 'not a model at all');
    await expect(loadEmbedder(file).ready()).rejects.toMatchObject({ code: 'ERR_GGUF_MAGIC', offset: 0 });
    await expect(loadEmbedder(path.dirname(file)).ready()).rejects.toMatchObject({ code: 'ERR_FILE_OPEN' });
  });

  test('memoryLimit refuses before anything is allocated', async () => {
    await expect(loadEmbedder({ memoryLimit: 1e6 }).ready()).rejects.toMatchObject({
      code: 'ERR_MEMORY_LIMIT',
      message: expect.stringMatching(/\d+ bytes.*1000000|only/),
    });
    expect(memoryReport().purposes.weights).toBe(0);
  });

  test('a signal ends the wait for a load, which goes on for others', async () => {
    const tensors = new Set();
    const e = loadEmbedder({ model, precision: 'fast', onProgress: (p) => tensors.add(p.tensor) });
    const c = new AbortController();
    const gone = e.embed('x', { signal: c.signal });
    const stays = e.embed('x');
    c.abort('gone');
    await expect(gone).rejects.toBe('gone');
    expect(await stays).toHaveLength(384);
    expect(e.info.shared).toBe(false);
    expect(tensors.size).toBeGreaterThan(0);
    for (const t of tensors) expect(t).toMatch(/^(token|blk|position|output)/);
    await e.close();
  });

  test('aborting the load', async () => {
    const c = new AbortController();
    const e = loadEmbedder({ signal: c.signal, onProgress: () => c.abort('stop') });
    await e.ready().catch((reason) => expect(reason).toBe('stop'));
    await e.close();
  });

  test('what a listener throws ends the load, and the next one may succeed', async () => {
    const mine = new Error('mine');
    let throws = true;
    const e = loadEmbedder();
    e.on('progress', () => {
      if (throws) throw mine;
    });
    await expect(e.embed('x')).rejects.toBe(mine);
    throws = false;
    expect(await e.embed('x')).toHaveLength(384);
    await e.close();
  });

  test('a listener of progress that comes right after the load began hears all of it', async () => {
    const e = loadEmbedder(tiny);
    const loading = e.ready();
    const reports = [];
    e.on('progress', (p) => reports.push(p));
    await loading;
    expect(reports.at(-1)).toMatchObject({ phase: 'load', loadedBytes: reports.at(-1).totalBytes });
    await e.close();
  });

  test('workers share the weights', async () => {
    const e = loadEmbedder(model);
    await e.ready();
    const before = memoryReport().purposes.weights;
    const code = `const { parentPort } = require('node:worker_threads');
      const { loadEmbedder } = require(${JSON.stringify(path.join(__dirname, '..'))});
      const e = loadEmbedder();
      e.embed('shared').then(async (v) => { parentPort.postMessage([e.info.shared, Array.from(v)]); await e.close(); });`;
    const want = Array.from(await e.embed('shared'));
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => new Promise((resolve, reject) => new Worker(code, { eval: true }).once('message', resolve).once('error', reject))),
    );
    for (const [shared, vector] of answers) {
      expect(shared).toBe(true);
      expect(vector).toEqual(want);
    }
    expect(memoryReport().purposes.weights).toBe(before);
    await e.close();
  });
});

describe('openGguf', () => {
  test('memoryLimit bounds what load takes, and lifts the default', async () => {
    const f = await openGguf(model, { memoryLimit: 1e6 });
    await expect(f.load('token_embd.weight')).rejects.toMatchObject({ code: 'ERR_MEMORY_LIMIT', message: expect.stringMatching(/bound: memoryLimit/) });
    await f.close();
    const release = new MemoryMonitor(2 ** 40).tryAllocate(2 ** 31); // all of the default budget
    const more = await openGguf(model, { memoryLimit: 2 ** 40 });
    expect(await more.load('blk.0.attn_q.bias')).toHaveLength(384);
    await more.close();
    const e = loadEmbedder({ memoryLimit: 2 ** 40 }); // a matrix goes by the embedder's, too
    expect(await e.embedMany(Array(300).fill('a'), { matrix: true })).toHaveLength(300 * 384);
    await e.close();
    release();
  });

  test('its signal ends what is asked of the file later', async () => {
    const stop = new AbortController();
    const file = await openGguf(model, { signal: stop.signal });
    expect(await file.get('general.architecture')).toBe('bert');
    const chunks = file.chunks('token_embd.weight');
    await chunks.next();
    stop.abort('enough');
    await expect(file.get('general.architecture')).rejects.toBe('enough');
    await expect(file.load('token_embd.weight')).rejects.toBe('enough');
    await expect(drain(chunks)).rejects.toBe('enough');
    await expect(drain(file)).rejects.toBe('enough');
    await file.close(); // which nothing ends
    await expect(file.get('general.architecture')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('metadata, tensors, plan, chunks, load', async () => {
    const f = await openGguf(model);
    expect(f.info).toMatchObject({ version: 3, bigEndian: false, alignment: 32, pairs: 73, tensors: 101, parts: 1 });
    expect(await f.get('general.architecture')).toBe('bert');
    expect(await f.get('bert.attention.causal')).toBe(false);
    expect(await f.get('bert.block_count')).toBe(6);
    expect(await f.get('no.such.key')).toBeUndefined();
    const tokens = await f.get('tokenizer.ggml.tokens');
    expect([tokens.length, await tokens.slice(101, 103)]).toEqual([30522, ['[CLS]', '[SEP]']]);
    let pairs = 0;
    for await (const [key] of f) if (key) pairs++;
    expect(pairs).toBe(73);
    const tensors = await f.tensors();
    const embeddings = tensors.find((t) => t.name === 'token_embd.weight');
    expect(embeddings).toMatchObject({ shape: [30522, 384], type: 'Q8_0', bytes: 12452976 });
    while (tensors.pop()); // the list is the caller's
    expect(await f.tensors()).toHaveLength(f.info.tensors);
    expect((await f.plan()).fits).toBe(true);
    const whole = Buffer.alloc(embeddings.bytes);
    let at = 0;
    for await (const c of f.chunks('token_embd.weight')) {
      expect(c.data.length).toBeLessThanOrEqual(65536);
      expect(c.offset).toBe(embeddings.offset + at);
      at += whole.set(c.data, at) ?? c.data.length;
    }
    const fd = fs.openSync(model);
    const same = Buffer.alloc(embeddings.bytes);
    fs.readSync(fd, same, 0, embeddings.bytes, embeddings.offset);
    fs.closeSync(fd);
    expect(whole.equals(same)).toBe(true);
    const values = await f.load('token_embd.weight');
    expect(values).toHaveLength(30522 * 384);
    expect(values[5]).toBeCloseTo(new Int8Array(same.buffer, same.byteOffset)[7] * half(same.readUInt16LE(0)), 6);
    await expect(f.load('nothing')).rejects.toMatchObject({ code: 'ERR_TENSOR_NOT_FOUND', field: 'nothing' });
    await f.close();
    await f.close();
    await expect(f.get('general.name')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(f.tensors()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});

/** @param {number} h */
function half(h) {
  const e = (h >> 10) & 31;
  const m = h & 1023;
  return (h & 0x8000 ? -1 : 1) * (e ? 2 ** (e - 15) * (1 + m / 1024) : m * 2 ** -24);
}

describe('memory', () => {
  test('the guard uses the words of the promise', () => {
    MemoryGuard.check(10485760);
    expect(() => MemoryGuard.check(Number.NaN)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => MemoryGuard.check(10485761)).toThrow('BLOCKED: Allocation 10485761 bytes exceeds 10MB limit. This prevents V8 heap crashes.');
  });

  test('a list whose copy would be too large is refused, and as a matrix read in place', async () => {
    const list = new Array(1310721).fill('x');
    const copy = jest.spyOn(list, Symbol.iterator);
    const e = loadEmbedder(tiny);
    await expect(e.embedMany(list)).rejects.toMatchObject({ code: 'ERR_MEMORY_GUARD' });
    const stop = new AbortController();
    const begun = e.embedMany(list, { matrix: true, signal: stop.signal });
    await e.embed('a text');
    stop.abort('enough');
    await expect(begun).rejects.toBe('enough');
    list[1310720] = /** @type {any} */ (7);
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    await expect(e.embedMany(list, { matrix: true })).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'texts[1310720]' }); // at once
    expect(turned).toBe(true); // but not in one turn
    expect(copy).not.toHaveBeenCalled();
    await e.close();
  });

  test('a matrix of a list that is read in place: the same vectors, and an error for what was taken away', async () => {
    jest.resetModules();
    jest.doMock('../js/limits', () => ({ .../** @type {object} */ (jest.requireActual('../js/limits')), heapAllocationBytes: 8 * 600 }));
    const e = require('..').loadEmbedder(tiny);
    jest.dontMock('../js/limits');
    const list = Array.from({ length: 700 }, (_, i) => `text ${i}`);
    const copy = jest.spyOn(list, Symbol.iterator);
    const matrix = await e.embedMany(list, { matrix: true });
    expect(copy).not.toHaveBeenCalled();
    copy.mockRestore();
    const vectors = [list.slice(0, 350), list.slice(350)].map((half) => e.embedMany(half));
    expect(Array.from(matrix)).toEqual((await Promise.all(vectors)).flat().flatMap((v) => Array.from(v)));
    const cut = e.embedMany(list, { matrix: true });
    list.length = 300;
    await expect(cut).rejects.toMatchObject({ code: 'ERR_ARGUMENT', field: 'texts[300]' });
    await e.close();
  });

  test('the monitor grants, refuses and takes back', () => {
    const [{ reserved }] = [0].map(memoryReport); // it takes nothing, whatever it is given
    const m = new MemoryMonitor(1000 + reserved);
    const release = m.tryAllocate(600);
    expect(m.canAllocate(401)).toBe(false);
    for (const bytes of [-1, 0.5, Number.NaN, '5']) expect(m.canAllocate(bytes)).toBe(false); // tryAllocate throws
    expect(() => m.tryAllocate(401)).toThrow(/401 bytes are needed, but only 400/);
    release();
    release();
    expect(m.canAllocate(1000)).toBe(true);
    expect(MemoryMonitor.forNodejs().available).toBeLessThanOrEqual(2 ** 31);
  });

  test('the heap watch warns, then refuses', async () => {
    let used = 50;
    const watch = new CrashPrevention(() => ({ used_heap_size: used, heap_size_limit: 100 }));
    const seen = [];
    for (const event of ['heap-safe', 'heap-critical']) watch.on(event, (r) => seen.push([event, r.used]));
    expect(watch.check()).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 10));
    used = 75;
    await watch.check();
    used = 95;
    expect(() => watch.check()).toThrow(expect.objectContaining({ code: 'ERR_HEAP_CRITICAL' }));
    expect(seen).toEqual([
      ['heap-safe', 75],
      ['heap-critical', 95],
    ]);
  });

  test('the heap watch asks for a collection once above each limit, and not for the next ten seconds', async () => {
    let used = 50;
    let now = 1e6;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now);
    const { gc } = globalThis;
    globalThis.gc = jest.fn(async () => {});
    const watch = new CrashPrevention(() => ({ used_heap_size: used, heap_size_limit: 100 }));
    /** @param {number} share @param {number} seconds how often it was asked after a thousand calls */
    const asked = async (share, seconds) => {
      used = share;
      now += 1000 * seconds;
      try {
        for (let i = 0; i < 1000; i++) await watch.check();
      } catch ({ code }) {
        expect(code).toBe('ERR_HEAP_CRITICAL');
      }
      return /** @type {jest.Mock} */ (globalThis.gc).mock.calls.length;
    };
    const counts = [];
    for (const [share, seconds] of [
      [50, 1], // safe
      [75, 1],
      [76, 60], // it has not fallen
      [95, 1], // another limit
      [95, 1],
      [50, 1],
      [75, 1], // too soon
      [75, 10],
    ])
      counts.push(await asked(share, seconds));
    clock.mockRestore();
    globalThis.gc = gc;
    expect(counts).toEqual([0, 1, 1, 2, 2, 2, 2, 3]);
  });

  test('with a full heap what would fill it further is refused; looking and closing are not', async () => {
    const [e, file] = [loadEmbedder(model), await openGguf(model)];
    const v = await e.embed('a text');
    const full = jest.spyOn(v8, 'getHeapStatistics').mockReturnValue({ ...v8.getHeapStatistics(), used_heap_size: 3.9e9, heap_size_limit: 4e9 });
    await new Promise((resolve) => setTimeout(resolve, 10)); // it looks every five
    const other = loadEmbedder(tiny);
    const calls = {
      embed: () => e.embed('a'),
      embedMany: () => e.embedMany(['a', 'b'], { matrix: true }),
      embedStream: () => drain(e.embedStream(['a'])),
      tokenize: () => e.tokenize('a'),
      countTokens: () => e.countTokens('a'),
      load: () => other.ready(),
      openGguf: () => openGguf(model),
      get: () => file.get('general.name'),
      pairs: () => drain(file),
      tensors: () => file.tensors(),
      chunks: () => drain(file.chunks('token_embd.weight')),
      loadTensor: () => file.load('token_embd.weight'),
    };
    const codes = await Promise.all(
      Object.entries(calls).map(([name, refused]) =>
        refused().then(
          () => name,
          ({ code }) => code,
        ),
      ),
    );
    expect(codes).toEqual(Object.keys(calls).map(() => 'ERR_HEAP_CRITICAL'));
    expect(e.memory().v8.used).toBe(3.9e9);
    expect(e.similarity(v, v)).toBeCloseTo(1);
    await Promise.all([e.close(), file.close()]);
    full.mockRestore();
    expect(await other.embed('a')).toHaveLength(64); // the refused load may be tried again
    await other.close();
  });

  test('kernels lists the sets', () => {
    const k = kernels();
    expect(k.available).toContain(k.selected);
    expect(k.available).toContain('portable');
    expect(version).toBe(require('../package.json').version);
  });
});
