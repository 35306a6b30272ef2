// Any arguments, of both sides of js/native.js: the public functions answer by a GgufError or a result, the addon's by an
// exception or an answer; the process lives, nothing is left, and the vectors are the same as before. Random, from a seed:
// GGUF_STREAM_ARGUMENTS=100000 for a long run.

const path = require('node:path');
const { addon, expectOk, root } = require('./child');

const rounds = Number(process.env.GGUF_STREAM_ARGUMENTS ?? 4000);
const seed = Number(process.env.GGUF_STREAM_SEED ?? 1);

const random = `
  const model = ${JSON.stringify(path.join(root, 'models', 'all-MiniLM-L6-v2.Q8_0.gguf'))};
  let state = ${seed};
  const below = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor((state / 2 ** 32) * n); };
  const pick = (list) => list[below(list.length)];
  const numbers = [0, -0, 1, -1, 2, 7, 384, 0.5, 2 ** 31, 2 ** 32 - 1, 2 ** 53, -(2 ** 53), 1e308, NaN, Infinity, -Infinity];
  const strings = ['', 'x', 'a\\0b', '\\ud800', 'words '.repeat(300), 'exact', 'fast', 'query', model, '/dev/null', 'general.name', 'tokenizer.ggml.tokens', 'token_embd.weight', '{}', '{"path":', '[1e999]'];
  const odd = () => [undefined, null, true, false, 1n, Symbol('s'), () => {}, Object.create(null), [], [[]], new Uint8Array(3), new ArrayBuffer(8), new Map(), new Date(NaN), AbortSignal.abort('why'), new Proxy({}, {}), { get length() { throw new Error('got'); } }, new Float32Array(384)];
  const value = () => [() => pick(numbers), () => pick(strings), () => pick(odd()), () => Array.from({ length: below(4) }, () => pick(strings)), () => Array.from({ length: below(4) }, () => pick(odd()))][below(5)]();
`;

const sound = `
  const settle = async (steady, want) => {
    if (!(await steady.embed('alive')).every((x, i) => x === want[i])) fail('another vector');
    await steady.close();
    for (let k = 0; k < 200 && g.memoryReport().regions; k++) { gc(); await sleep(20); }
    console.log(g.memoryReport().regions, g.memoryReport().reserved);
    process.exit(0);
  };
`;

test(
  `${rounds} calls of the public functions`,
  () => {
    const out = expectOk(
      `${random}${sound}
    const names = ['model', 'precision', 'threads', 'memoryLimit', 'pooling', 'maxTokens', 'maxTextBytes', 'maxQueuedTexts', 'signal', 'onProgress', 'dimensions', 'normalize', 'truncate', 'parseSpecial', 'prefix', 'task', 'details', 'output', 'matrix', 'ranges', 'bitOrder', 'isolation', 'count', 'nothing'];
    const options = () => (below(4) ? Object.fromEntries(Array.from({ length: below(3) }, () => [pick(names), value()]).filter(([n, v]) => n !== 'isolation' || v !== 'process')) : value());
    const text = () => (below(3) ? pick(strings) : value());
    (async () => {
      const steady = g.loadEmbedder();
      const want = await steady.embed('alive');
      const file = await g.openGguf(model);
      const array = await file.get('tokenizer.ggml.tokens');
      const drain = async (all) => { let n = 0; for await (const _ of all) if (++n === 3) break; };
      const calls = [
        () => { const e = g.loadEmbedder(below(2) ? options() : value()); return e.embed('x').finally(() => e.close()); },
        () => steady.embed(text(), options()),
        () => steady.embedMany(below(2) ? [text(), text()] : value(), options()),
        () => drain(steady.embedStream(below(2) ? [text()] : value(), options())),
        () => steady.tokenize(text(), options()),
        () => steady.countTokens(text(), options()),
        () => steady.similarity(value(), value()),
        () => g.openGguf(below(2) ? model : value(), options()).then((f) => f.close()),
        () => file.get(value()),
        () => file.plan(options()),
        () => file.load(below(2) ? 'output_norm.weight' : value()),
        () => drain(file.chunks(value())),
        () => array.slice(value(), below(2) ? below(30) : value()),
        () => g.MemoryMonitor.forNodejs().tryAllocate(value(), value())(),
        () => g.MemoryGuard.check(value()),
        () => g.quantize(value(), value(), value()),
        () => g.calibrate(value(), value()),
      ];
      const seen = { results: 0, errors: 0, reasons: 0 };
      for (let i = 0; i < ${rounds}; i++) {
        try {
          await pick(calls)();
          seen.results++;
        } catch (e) {
          if (e instanceof g.GgufError) { if (e.kind === 'internal') throw e; seen.errors++; }
          else if (e === 'why' || e?.message === 'got') seen.reasons++;
          else throw e;
        }
      }
      await file.close();
      if (Math.min(seen.results, seen.errors) < ${rounds} / 50) fail(JSON.stringify(seen));
      await settle(steady, want);
    })();`,
      { args: ['--expose-gc'], timeout: 60000 + rounds * 100 },
    );
    expect(out).toBe('0 0');
  },
  90000 + rounds * 100,
);

test(
  `${rounds} calls of the addon’s functions`,
  () => {
    const out = expectOk(
      `${random}${sound}
    const addon = require(${JSON.stringify(addon)});
    (async () => {
      const steady = g.loadEmbedder();
      const want = await steady.embed('alive');
      const kinds = [...Array(20).keys(), 2 ** 32 - 1];
      let waiting = 0;
      const opened = [];
      const callback = (error, reply) => {
        waiting--;
        if (error && typeof error.code !== 'string') fail('no error');
        const { handle } = error || !reply ? {} : JSON.parse(reply);
        if (handle) opened.push(handle);
      };
      const submit = (...a) => { addon.submit(...a); waiting++; };
      const closing = (handle) => { for (const kind of [4, 11]) submit(kind, handle, undefined, undefined, callback); };
      const request = () => (below(2) ? JSON.stringify({ path: pick(strings), key: pick(strings), tensor: pick(strings), from: pick(numbers), count: pick(numbers), offset: pick(numbers), bytes: below(1e6), maxTokens: below(9) }) : value());
      const calls = [
        () => submit(below(3) ? pick(kinds) : value(), below(2) && opened.length ? pick(opened) : value(), request(), value(), callback, value()),
        () => submit(below(3) ? pick(kinds) : value(), value(), request(), value(), value() === 0 ? callback : undefined),
        () => addon.submit(...Array.from({ length: below(4) }, value)),
        () => addon.cancel(value()),
        () => { const n = pick(numbers); const limit = value(); if (addon.reserve(n, limit)) addon.unreserve(n); },
        () => addon.reserve(value()),
        () => addon.load(pick(numbers)),
        () => addon.kernels(value()),
        () => addon.counters(value()),
      ];
      // what a careless caller cannot be answered by: 15 is the environment's own last job; a callback that is none
      for (let i = 0; i < ${rounds}; i++) {
        try { pick(calls)(); } catch (e) { if (!(e instanceof Error) && e !== 'got') fail('thrown: ' + String(e)); }
        if (i % 50 === 0) { for (let k = 0; k < 500 && waiting > 20; k++) await sleep(5); }
        while (opened.length > 5) closing(opened.shift());
      }
      for (let k = 0; k < 4000 && waiting > 0; k++) await sleep(5);
      for (const handle of opened) closing(handle);
      for (let k = 0; k < 400 && waiting > 0; k++) await sleep(5);
      if (waiting) fail(waiting + ' calls are not answered');
      await settle(steady, want);
    })();`,
      { args: ['--expose-gc'], timeout: 60000 + rounds * 100 },
    );
    expect(out).toBe('0 0');
  },
  90000 + rounds * 100,
);
