// The files of test/hostile (Go) through the public API and the command line: what is malformed gives a GgufError with code,
// field and offset, at once, without memory, and the process goes on; what is merely odd works.

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hostile-'));
execFileSync('go', ['run', './scripts/genhostile', folder], { cwd: root });
execFileSync(process.execPath, ['--expose-gc', path.join(__dirname, 'hostile', 'child.js'), folder]);
const { results, alive } = JSON.parse(fs.readFileSync(path.join(folder, 'results.json'), 'utf8'));
const refused = results.filter((r) => r.code !== '');
const legal = results.filter((r) => r.code === '');
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** @param {any} r */
const title = (r) => /** @type {const} */ ([`${r.section}: ${r.name}`, r]);

test('there are 500 malformed files and more, and the process that read them all still embeds', () => {
  expect(refused.length).toBeGreaterThanOrEqual(500);
  expect(alive).toBe(true);
});

test.each(refused.map(title))('refused: %s', (_title, r) => {
  const { error } = r.embedded;
  expect(error).toMatchObject({ name: 'GgufError', code: r.code });
  if (r.field !== '*') expect(error.field ?? '').toBe(r.field);
  const size = fs.existsSync(r.path) ? fs.statSync(r.path).size : 0;
  const somethingIsThere = error.kind === 'format' && !/missing|has no/.test(error.message);
  if (somethingIsThere) expect(error.offset).toBeGreaterThanOrEqual(0);
  if (somethingIsThere && r.section !== 'splits') expect(error.offset).toBeLessThanOrEqual(size);
  if (r.model) expect(r.opened.error).toBeUndefined();
  else expect(r.opened.error).toMatchObject({ code: r.code });
  expect(r.cpuMs).toBeLessThan(1000);
  expect(r.rssGrowth).toBeLessThan(64e6);
  expect(Object.values(r.left).every((n) => n === 0)).toBe(true);
});

test.each(legal.map(title))('works: %s', (_title, r) => {
  expect(r.embedded.error ?? r.opened.error).toBeUndefined();
  expect(r.embedded.value).toHaveLength(64);
  if (r.same) expect(r.embedded.value).toEqual(legal[0].embedded.value);
  expect(r.heapGrowth).toBeLessThan(10e6);
  expect(r.goHeap).toBeLessThan(10e6);
  expect(Object.values(r.left).every((n) => n === 0)).toBe(true);
});

describe('command line', () => {
  const cli = path.join(root, 'js', 'cli.js');

  test('verify: every malformed file is bad by the same code, no odd one is; the process reads them all', () => {
    const r = spawnSync(process.execPath, [cli, 'verify', '--json', ...results.map((c) => c.path)], { encoding: 'utf8', maxBuffer: 1 << 26 });
    const reports = r.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(r).toMatchObject({ status: 1, stderr: '' });
    expect(reports).toHaveLength(results.length);
    for (const [i, { verdict, checks }] of reports.entries()) {
      const c = results[i];
      expect([c.name, verdict === 'bad']).toEqual([c.name, c.code !== '']);
      if (c.code) expect(checks.map((/** @type {any} */ k) => k.code)).toContain(c.code);
    }
  });

  const first = [...new Map(refused.map((r) => [r.section, r])).values()];
  test.each(first.map(title))('embed and inspect fail by name: %s', (_title, r) => {
    const embed = spawnSync(process.execPath, [cli, 'embed', '--model', r.path, 'text'], { encoding: 'utf8', timeout: 20000 });
    expect(embed).toMatchObject({ status: 1, stdout: '', signal: null });
    expect(embed.stderr).toMatch(new RegExp(`^gguf-stream: ${r.code}: [^\\n]+\\n$`));
    const inspect = spawnSync(process.execPath, [cli, 'inspect', r.path], { encoding: 'utf8', timeout: 20000 });
    expect(inspect.status).toBe(r.model ? 0 : 1);
  });
});
