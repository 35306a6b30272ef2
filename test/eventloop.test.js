// The event loop stays free while 146 MB are loaded and 256 texts embedded, and where the JS thread spends its time. The least of three
// runs counts: what other processes do to this one is not ours.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

const root = path.join(__dirname, '..');
const large = path.join(__dirname, 'models', 'nomic-synthetic.Q8_0.gguf');

beforeAll(() => {
  execFileSync('go', ['run', './scripts/genmodels', 'nomic-synthetic.Q8_0'], { cwd: root });
}, 240000);

/** Delays in ms while code runs, which sees the package as g. @param {string} code @returns {{ max: number, p99: number }} */
function delays(code) {
  const script = `
    const { monitorEventLoopDelay } = require('node:perf_hooks');
    const g = require(${JSON.stringify(root)});
    (async () => {
      await new Promise((r) => setTimeout(r, 50));
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await new Promise((r) => setTimeout(r, 20));
      ${code}
      delay.disable();
      console.log(JSON.stringify({ max: delay.max / 1e6, p99: delay.percentile(99) / 1e6 }));
      process.exit(0);
    })();`;
  const runs = [];
  for (let i = 0; i < 3; i++) {
    runs.push(JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })));
    if (runs[i].max < 50 && runs[i].p99 <= 10) break;
  }
  return { max: Math.min(...runs.map((r) => r.max)), p99: Math.min(...runs.map((r) => r.p99)) };
}

test.each([
  ['loading 146 MB, the library’s own load with it', `await g.loadEmbedder(${JSON.stringify(large)}).ready();`],
  ['embedding 256 texts', `await g.loadEmbedder().embedMany(Array.from({ length: 256 }, (_, i) => ('text number ' + i + ' ').repeat(10)));`],
])(
  '%s: below 50 ms, 99 of 100 below 10 ms',
  (_name, code) => {
    const d = delays(code);
    expect(d.max).toBeLessThan(50);
    expect(d.p99).toBeLessThanOrEqual(10);
  },
  120000,
);

test('the same check sees a loop that is held for 60 ms', () => {
  expect(delays(`for (const end = Date.now() + 60; Date.now() < end; ); await new Promise((r) => setTimeout(r, 5));`).max).toBeGreaterThan(50);
}, 120000);
