const fs = require('node:fs');
const path = require('node:path');
const { shortNames } = require('../js/models');
const { files } = require('../package.json');
const { Place, examples } = require('./docs');

/** @type {Place} */
let place;
beforeAll(async () => {
  place = await new Place('docs').open();
});
afterAll(() => place.close());

test.each([...examples('js'), ...examples('sh')].map((e) => [e.name, e]))('%s', async (_, example) => {
  const { status, out, err } = await place.run(example);
  expect({ status, err }).toEqual({ status: 0, err: '' });
  if (example.prints !== undefined) expect(out).toBe(example.prints);
});

test('docs/load.md lists the short names, README is short and its links lead to what is published', () => {
  const load = fs.readFileSync(path.join(__dirname, '..', 'docs', 'load.md'), 'utf8');
  const rows = [...load.matchAll(/^\| `([^`]+)` \| (\S+\/\S+) \|$/gm)].map((m) => [m[1], m[2]]);
  expect(Object.fromEntries(rows)).toEqual(shortNames);
  const readme = fs.readFileSync(path.join(__dirname, '..', 'README.md'), 'utf8');
  expect(readme.split('\n').length).toBeLessThan(200);
  for (const [, link] of readme.matchAll(/\]\(([^)#:]+)/g)) {
    expect([link, fs.existsSync(path.join(__dirname, '..', link))]).toEqual([link, true]);
    expect(files).toContain(link.split('/')[0]);
  }
});
