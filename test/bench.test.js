// `gguf-stream bench` on a tiny model: that it measures, saves, compares and draws, not how fast anything is.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { workloads, textOf, randomOf, median } = require('../js/bench/measure');
const { loadEmbedder } = require('..');

const model = path.join(__dirname, 'models', 'bert-tiny-mean.Q8_0.gguf');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** @param {string[]} args */
function bench(...args) {
  const cli = path.join(__dirname, '..', 'js', 'cli.js');
  return spawnSync(process.execPath, [cli, 'bench', '--seconds', '0.001', ...args], { encoding: 'utf8' });
}

test('a report is saved, compared and drawn', () => {
  const [saved, drawn] = ['report.json', 'report.svg'].map((f) => path.join(folder, f));
  const first = bench(model, '--json', '--save', saved, '--svg', drawn);
  expect(first.stderr).toBe('');
  const report = JSON.parse(first.stdout);
  expect(report).toEqual(JSON.parse(fs.readFileSync(saved, 'utf8')));
  const { total, node, require: required, library, load, first: embed } = report.start;
  expect(Math.min(node, required, library, load, embed)).toBeGreaterThan(0);
  expect(total).toBeGreaterThan(load);
  expect(report.latency.map((l) => l.tokens)).toEqual([8, 16, 64, 128]); // the model takes no more
  for (const l of report.latency) expect(l.p50 > 0 && l.p50 <= l.p95 && l.p95 <= l.p99 && l.calls >= 10).toBe(true);
  expect(report.throughput.map((t) => [t.name, t.tokens])).toEqual([
    ['256 × 16', 256 * 16],
    ['256 × 128', 256 * 128],
  ]);
  expect(report.loopDelay.max).toBeGreaterThanOrEqual(report.loopDelay.p99);
  expect(report.loopDelay.p99).toBeGreaterThan(0);
  expect(report.memory.weights).toBeGreaterThan(0);
  const { peaks, shares } = report.peak;
  expect(report.peak.set).toBe(report.model.kernels);
  const counted = peaks.length > 0; // sets without loops say so
  expect(shares.map((s) => `${s.texts} × ${s.tokens}`)).toEqual(counted ? ['32 × 16', '32 × 128'] : []);
  for (const p of peaks) expect(p.gops).toBeGreaterThan(1);
  for (const s of shares) expect(s.share > 0 && s.share < 1 && s.tokensPerSec > 0).toBe(true);
  const svg = fs.readFileSync(drawn, 'utf8');
  expect(svg.match(/<rect /g)).toHaveLength(1 + 2 + 4 + shares.length);
  expect(svg).not.toMatch(/NaN|undefined/);

  report.throughput[0].tokensPerSecond /= 1e6;
  report.start.total *= 1e6;
  fs.writeFileSync(saved, JSON.stringify(report));
  const second = bench(model, '--compare', saved);
  expect(second.stdout).toMatch(/start to first vector .* ms {2}-100 %/);
  expect(second.stdout).toMatch(/256 × 16 +█+.* tokens\/s {2}\+\d{6,} %/);
}, 120000);

test('wrong usage ends with 2', () => {
  const other = path.join(folder, 'other.json');
  fs.writeFileSync(other, '{}');
  for (const args of [
    ['a.gguf', 'b.gguf'],
    ['--seconds', '0'],
    ['--compare', other],
  ])
    expect(bench(...args).status).toBe(2);
});

test('workloads are the same everywhere and as long as they say', async () => {
  const embedder = loadEmbedder();
  for (const n of [3, 16, 512]) expect(await embedder.countTokens(textOf(n, randomOf(n)))).toBe(n);
  await embedder.close();
  const lengths = workloads.find((w) => w.name === 'mixed')?.lengths() ?? [];
  expect(lengths).toHaveLength(256);
  expect(Math.abs(median(lengths) - 40)).toBeLessThan(8);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(512);
  expect(lengths).toEqual(workloads.find((w) => w.name === 'mixed')?.lengths());
});
