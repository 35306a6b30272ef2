// The files of test/hostile (Go) through the public API and the command line: what is malformed gives a GgufError with code,
// field and offset, at once, without memory, and the process goes on; what is merely odd works.

const { execFileSync } = require('node:child_process');
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

test('there are 150 malformed files and more, and the process that read them all still embeds', () => {
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
