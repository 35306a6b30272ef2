// Realms: results belong to the wrapper's realm, under jest, vitest's pools, vm contexts, import and require, and in two
// copies of the package.

const { spawnSync, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const vm = require('node:vm');
const { child, expectOk, root } = require('./child');

const texts = Array.from({ length: 300 }, (_, i) => `text ${i}`);

test('jest: promises, arrays and errors of this realm; matrices over external memory, vectors copied', async () => {
  const { loadEmbedder, GgufError } = require(root);
  const e = loadEmbedder();
  const pending = e.embed('x');
  expect(pending).toBeInstanceOf(Promise);
  expect(await pending).toBeInstanceOf(Float32Array);
  await expect(e.embed(1)).rejects.toBeInstanceOf(GgufError);
  await expect(e.embed(1)).rejects.toBeInstanceOf(Error);
  const matrix = await e.embedMany(texts, { matrix: true });
  expect(matrix).toBeInstanceOf(Float32Array);
  const alone = await e.embedMany(texts);
  expect(Buffer.from(matrix.buffer).equals(Buffer.concat(alone.map((v) => Buffer.from(v.buffer))))).toBe(true);
  await e.close();
  expect(matrix[0]).toBe(alone[0][0]); // still there
});

test.each(/** @type {const} */ (['auto', 'process']))('jest: fake timers hold nothing up, isolation %s', async (isolation) => {
  const { loadEmbedder } = require(root);
  const e = loadEmbedder({ isolation });
  let answered = () => {};
  async function* conversation() {
    yield 'a question';
    await new Promise((resolve) => {
      answered = () => resolve(undefined);
    });
    yield 'the next one';
  }
  jest.useFakeTimers();
  try {
    const dimensions = [];
    for await (const { length } of e.embedStream(conversation())) {
      dimensions.push(length);
      answered();
    }
    expect(dimensions).toEqual([384, 384]);
    expect(await e.embedMany(texts, { matrix: true })).toHaveLength(300 * 384);
    await e.close();
  } finally {
    jest.useRealTimers();
  }
});

test('external buffers: counted while they live, cloned, and transferred or refused', () => {
  const out = expectOk(
    `(async () => {
      const e = g.loadEmbedder();
      const texts = Array.from({ length: 300 }, (_, i) => 'text ' + i);
      await e.embed('x'); gc(); await sleep(50);
      const heap = process.memoryUsage().heapUsed;
      let matrix = await e.embedMany(texts, { matrix: true });
      const counted = g.memoryReport().purposes.output >= matrix.byteLength;
      const clone = structuredClone(matrix);
      let moved = clone.buffer.slice();
      try { // Node 20 copies
        moved = structuredClone(matrix.buffer, { transfer: [matrix.buffer] });
      } catch (e) {
        if (e.name !== 'DataCloneError') throw e;
      }
      const same = Buffer.from(clone.buffer).equals(Buffer.from(moved));
      const w = inWorker("parentPort.once('message', (b) => { parentPort.postMessage(new Float32Array(b)[7]); parentPort.close(); });");
      w.postMessage(moved, [moved]);
      const there = await new Promise((r) => w.once('message', r));
      await e.close();
      const equal = there === clone[7];
      matrix = undefined;
      for (let k = 0; k < 100 && g.memoryReport().purposes.output; k++) { gc(); await sleep(20); }
      console.log(counted, same, equal, g.memoryReport().purposes.output, process.memoryUsage().heapUsed - heap < 5e6);
    })();`,
    { args: ['--expose-gc'] },
  );
  expect(out).toBe('true true true 0 true');
});

test('a worker gives its results away, and they outlive it', () => {
  const out = expectOk(
    `(async () => {
      const texts = Array.from({ length: 300 }, (_, i) => 'text ' + i);
      const w = inWorker("(async () => { const e = g.loadEmbedder(); const m = await e.embedMany(i, { matrix: true }); const b = m.buffer.transfer?.() ?? m.buffer; parentPort.postMessage(b, [b]); parentPort.postMessage(b.byteLength); setInterval(() => {}, 1e6); })()", texts);
      const said = [];
      await new Promise((r) => w.on('message', (m) => said.push(m) === 2 && r()));
      await w.terminate();
      const e = g.loadEmbedder();
      const same = Buffer.from(said[0]).equals(Buffer.from((await e.embedMany(texts, { matrix: true })).buffer));
      await e.close();
      console.log(same, said[1]);
    })();`,
  );
  expect(out).toBe('true 0');
});

test('a host that refuses external buffers, as Electron does, gets copies with the same bytes, and nothing is left', () => {
  const library = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-')), 'refuse.so');
  execFileSync(process.env.CC || 'cc', ['-shared', '-fPIC', '-o', library, path.join(__dirname, 'refuse-external.c')]);
  const code = `(async () => {
    const e = g.loadEmbedder();
    const matrix = await e.embedMany(Array.from({ length: 300 }, (_, i) => 'text ' + i), { matrix: true });
    await e.close();
    console.log(require('node:crypto').createHash('sha256').update(matrix).digest('hex'), g.memoryReport().purposes.output);
  })();`;
  const [usual, refused] = [child(code), child(code, { env: { LD_AUDIT: library } })];
  fs.rmSync(path.dirname(library), { recursive: true });
  const [hash, held] = usual.out.split(' ');
  expect(usual).toMatchObject({ end: 0, err: '' });
  expect(Number(held)).toBeGreaterThanOrEqual(300 * 384 * 4);
  expect(refused).toEqual({ end: 0, err: expect.stringMatching(/^(refused\n)+$/), out: `${hash} 0` });
});

test('vm contexts: options, texts, iterables and signals of another realm are taken', async () => {
  const { loadEmbedder } = require(root);
  const e = loadEmbedder();
  const context = vm.createContext({ e, AbortController });
  const [one, many, streamed, reason] = await vm.runInContext(
    `(async () => {
      const one = await e.embed('x', { dimensions: 8 });
      const many = await e.embedMany(['a', 'b']);
      let streamed = 0;
      for await (const v of e.embedStream((function* () { yield 'a'; yield 'b'; })())) streamed += v.length;
      const c = new AbortController(); c.abort('why');
      return [one.length, many.length, streamed, await e.embed('x', { signal: c.signal }).catch((r) => r)];
    })()`,
    context,
  );
  expect([one, many, streamed, reason]).toEqual([8, 2, 768, 'why']);
  await e.close();
});

test('two copies of the package in one process: two cores, the same bits', () => {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'copy-'));
  for (const d of ['js', 'build/native', 'models', 'package.json']) fs.cpSync(path.join(root, d), path.join(copy, d), { recursive: true });
  const out = expectOk(
    `const h = require(${JSON.stringify(copy)});
    (async () => {
      const [a, b] = [g.loadEmbedder(), h.loadEmbedder()];
      for (let i = 0; i < 200; i++) {
        const [x, y] = await Promise.all([a.embed('same ' + i), b.embed('same ' + i)]);
        if (!Buffer.from(x.buffer).equals(Buffer.from(y.buffer))) fail('different');
      }
      await a.close();
      console.log((await b.embed('still')).length, a.constructor !== b.constructor, g.memoryReport().purposes.weights, h.memoryReport().purposes.weights > 0);
      process.exit(0);
    })();`,
  );
  fs.rmSync(copy, { recursive: true });
  expect(out).toBe('384 true 0 true');
});

test('import and require give the same objects; settings in process.env reach the core', () => {
  const code = `import * as all from ${JSON.stringify(path.join(root, 'js', 'index.js'))}; import { createRequire } from 'node:module';
    const c = createRequire(import.meta.url)(${JSON.stringify(root)});
    process.env.GGUF_STREAM_KERNELS = 'portable'; // after the start: the system's environment does not know it
    console.log(Object.keys(c).every((k) => c[k] === all[k]), all.default === c, all.kernels().selected);`;
  expect(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).trim()).toBe('true true portable');
});

test.each(['threads', 'forks', 'vmThreads'])(
  'vitest, pool %s',
  (pool) => {
    const vitest = path.join(path.dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
    const r = spawnSync(process.execPath, [vitest, 'run', '--root', path.join(__dirname, 'vitest'), `--pool=${pool}`, '--reporter=json'], {
      encoding: 'utf8',
      cwd: root,
      env: { ...process.env, JEST_WORKER_ID: '', NODE_ENV: 'test' },
      timeout: 100000,
    });
    expect({ end: r.status, report: r.stdout.slice(r.stdout.indexOf('{')).slice(0, 5000), err: r.stderr }).toMatchObject({ end: 0, err: '' });
    expect(JSON.parse(r.stdout.slice(r.stdout.indexOf('{')))).toMatchObject({ numPassedTests: 2, numFailedTests: 0 });
  },
  120000,
);
