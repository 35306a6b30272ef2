// The event loop stays free while 146 MB are loaded and 256 texts embedded. One run of at most five must be within both bounds: what
// other processes do to this one is not ours.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

const root = path.join(__dirname, '..');
const large = path.join(__dirname, 'models', 'nomic-synthetic.Q8_0.gguf');

/** @typedef {{ max: number, p99: number }} Delays in ms of one run */

/** @param {Delays} d */
const free = (d) => d.max < 50 && d.p99 <= 10;

/** Runs code, which sees the package as g, until a run is free, five times at most. @param {string} code @returns {Delays[]} */
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
  /** @type {Delays[]} */
  const runs = [];
  while (runs.length < 5 && !runs.some(free)) runs.push(JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })));
  return runs;
}

test.each([
  ['loading 146 MB, the library’s own load with it', `await g.loadEmbedder(${JSON.stringify(large)}).ready();`],
  ['embedding 256 texts', `await g.loadEmbedder().embedMany(Array.from({ length: 256 }, (_, i) => ('text number ' + i + ' ').repeat(10)));`],
])(
  '%s: below 50 ms, 99 of 100 below 10 ms',
  (_name, code) => {
    const runs = delays(code);
    expect(runs.some(free) || runs).toBe(true); // a failure shows the runs
  },
  120000,
);

test('the same check sees a loop that is held for 60 ms', () => {
  const runs = delays(`for (const end = Date.now() + 60; Date.now() < end; ); await new Promise((r) => setTimeout(r, 5));`);
  expect(runs).toHaveLength(5);
  for (const { max } of runs) expect(max).toBeGreaterThan(50);
}, 120000);
