const fs = require('node:fs');
const path = require('node:path');
const { Place, examples } = require('../docs');

const packages = path.join(__dirname, 'node_modules');
/** @type {Place} */
let place;
beforeAll(async () => {
  place = await new Place('docs-integrations').open();
  fs.rmSync(path.join(place.folder, 'node_modules'), { recursive: true });
  fs.symlinkSync(packages, path.join(place.folder, 'node_modules')); // import's way; the adapters are required, by NODE_PATH
});
afterAll(() => place.close());

test.each(examples('js integrations').map((e) => [e.name, e]))('%s', async (_, example) => {
  const { status, out, err } = await place.run(example, { NODE_PATH: packages, NODE_OPTIONS: '' });
  expect({ status, err }).toEqual({ status: 0, err: '' });
  if (example.prints !== undefined) expect(out).toBe(example.prints);
});
