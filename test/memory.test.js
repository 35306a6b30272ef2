// Memory on a model of 146 MB, loaded in a child process with its heap sampled through the whole load. The same
// check over a deliberately heap-hungry loader must fail, so that it is known to bite.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

const root = path.join(__dirname, '..');
const large = path.join(__dirname, 'models', 'nomic-synthetic.Q8_0.gguf');
const tiny = path.join(__dirname, 'models', 'bert-tiny-mean.gguf');

/** Runs a loader in a child and reports what grew. @param {string} loader */
function measure(loader) {
  const code = `
    const v8 = require('node:v8'), fs = require('node:fs');
    const g = require(${JSON.stringify(root)});
    const model = ${JSON.stringify(large)};
    let peak = 0, peakRss = 0;
    const sample = () => { peak = Math.max(peak, v8.getHeapStatistics().used_heap_size); };
    (async () => {
      g.kernels(); // the library's own load is done
      globalThis.gc(); globalThis.gc();
      const before = v8.getHeapStatistics().used_heap_size;
      peak = before;
      const timer = setInterval(sample, 1);
      const kept = await (${loader})();
      if (globalThis.embedder) for (let i = 0; i < 50; i++) await globalThis.embedder.embed('a text ' + i);
      sample(); clearInterval(timer);
      const report = g.memoryReport();
      console.log(JSON.stringify({ heap: peak - before, report, tensorBytes: kept.tensorBytes, kept: kept.length }));
      process.exit(0);
    })();`;
  return JSON.parse(execFileSync(process.execPath, ['--expose-gc', '-e', code], { encoding: 'utf8', maxBuffer: 1 << 24 }));
}

const streaming = `async () => { const e = g.loadEmbedder({ model, onProgress: sample }); await e.ready(); globalThis.embedder = e; return e.info; }`;
const hungry = `async () => { const raw = fs.readFileSync(model); const out = []; for (let i = 0; i < 4e6; i++) { out.push(raw[i] / 3); if (i % 65536 === 0) sample(); } return out; }`;

const tenMegabytes = 10e6;

/** @param {ReturnType<typeof measure>} m */
function check(m) {
  expect(m.heap).toBeLessThan(tenMegabytes);
  expect(m.report.goHeap).toBeLessThan(tenMegabytes);
  expect(m.report.working).toBeGreaterThan(0);
  expect(m.report.working).toBeLessThanOrEqual(1048576);
}

test('a 146 MB model: V8 and Go heap < 10 MB, working memory ≤ 1 MiB', () => {
  const m = measure(streaming);
  check(m);
  expect(m.tensorBytes).toBeGreaterThan(100e6);
}, 120000);

test('tensor bytes ÷ RSS growth ≥ 0.95, peak ≤ final + 2 MiB, without the sampling that has garbage of its own', () => {
  const code = `
    const fs = require('node:fs');
    const g = require(${JSON.stringify(root)});
    const peak = () => 1024 * fs.readFileSync('/proc/self/status', 'utf8').match(/VmHWM:[^0-9]*([0-9]+)/)[1];
    g.kernels(); // the library's own load is done
    const before = process.memoryUsage.rss();
    g.loadEmbedder(${JSON.stringify(large)}).ready().then((e) => {
      const rss = process.memoryUsage.rss();
      console.log(JSON.stringify({ efficiency: e.info.tensorBytes / (rss - before), over: peak() - rss }));
      process.exit(0);
    });`;
  const m = JSON.parse(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }));
  expect(m.efficiency).toBeGreaterThan(0.95);
  expect(m.over).toBeLessThanOrEqual(2 * 1024 * 1024);
}, 120000);

test('the same check catches a loader that uses the heap', () => {
  expect(() => check(measure(hungry))).toThrow();
}, 120000);

test.each([
  ['calls, each with a signal of AbortSignal.any', `await e.embed('a', { signal: AbortSignal.any([stop.signal]) });`],
  ['loads that fail', `await missing.ready().catch(() => {});`],
])(
  '%s: 5,000 leave less than 1 MB on V8’s heap',
  (_name, body) => {
    const code = `
      const g = require(${JSON.stringify(root)});
      const tiny = ${JSON.stringify(tiny)};
      const stop = new AbortController();
      const e = g.loadEmbedder(tiny);
      const missing = g.loadEmbedder('/nothing.gguf');
      const many = async (n) => { for (let i = 0; i < n; i++) { ${body} } };
      const used = async () => {
        for (let i = 0; i < 4; i++) { globalThis.gc(); await new Promise((r) => setTimeout(r, 10)); } // what is finalised frees more
        return process.memoryUsage().heapUsed;
      };
      (async () => {
        await many(500);
        const before = await used();
        await many(5000);
        console.log((await used()) - before);
        await e.close();
      })();`;
    const grown = Number(execFileSync(process.execPath, ['--expose-gc', '-e', code], { encoding: 'utf8' }));
    expect(grown).toBeLessThan(1e6);
  },
  120000,
);

test.each([100, 256, 1000])(
  'a heap of %d MB that fills up: the embedder warns, then refuses, and V8 never ends the process',
  (megabytes) => {
    const code = `
    const g = require(${JSON.stringify(root)});
    const e = g.loadEmbedder(${JSON.stringify(tiny)});
    const events = {};
    for (const event of ['heap-safe', 'heap-critical']) e.on(event, (report) => { events[event] ??= report; });
    const kept = [];
    (async () => {
      for (;;) {
        kept.push(Array.from({ length: ${200 * megabytes} }, (_, i) => i + 0.5));
        try {
          await e.embed('a');
        } catch ({ code }) {
          console.log(JSON.stringify({ code, events, total: e.memory().total }));
          return e.close();
        }
      }
    })();`;
    const m = JSON.parse(
      execFileSync(process.execPath, [`--max-old-space-size=${megabytes}`, '-e', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    expect(m).toMatchObject({
      code: 'ERR_HEAP_CRITICAL',
      total: expect.any(Number),
      events: { 'heap-safe': { limit: megabytes * 2 ** 20 }, 'heap-critical': { limit: megabytes * 2 ** 20 } },
    });
    const { 'heap-safe': safe, 'heap-critical': critical } = m.events;
    expect(safe.used / safe.limit).toBeGreaterThan(0.7);
    expect(critical.used / critical.limit).toBeGreaterThan(0.9);
  },
  120000,
);

test.each([
  ['of its resourceLimits', `{ maxOldGenerationSizeMb: 50 }`, 50],
  ['of a smaller young generation', `{ maxOldGenerationSizeMb: 50, maxYoungGenerationSizeMb: 6 }`, 50],
])('a worker’s limit is that %s', (_name, resourceLimits, megabytes) => {
  const inside = `
    const { CrashPrevention } = require(${JSON.stringify(root)});
    const watch = new CrashPrevention();
    watch.on('heap-safe', ({ limit }) => { require('node:worker_threads').parentPort.postMessage(limit); process.exit(); });
    for (const kept = []; ; watch.check()) kept.push(Array.from({ length: 20000 }, (_, i) => i + 0.5));`;
  const code = `new (require('node:worker_threads').Worker)(${JSON.stringify(inside)}, { eval: true, resourceLimits: ${resourceLimits} }).on('message', console.log);`;
  expect(Number(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }))).toBe(megabytes * 2 ** 20);
});
