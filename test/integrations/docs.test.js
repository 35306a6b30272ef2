const fs = require('node:fs');
const path = require('node:path');
const { Place, examples } = require('../docs');

const root = path.join(__dirname, '..', '..');
/** @type {Place} */
let place;
beforeAll(async () => {
  place = await new Place('docs-integrations').open();
  // a project of its own, so that the adapters find the frameworks as an installed one's do: NODE_PATH is not import's way
  for (const f of ['package.json', 'js']) fs.cpSync(path.join(root, f), path.join(place.folder, f), { recursive: true });
  for (const f of ['build', 'models']) fs.symlinkSync(path.join(root, f), path.join(place.folder, f));
  fs.rmSync(path.join(place.folder, 'node_modules'), { recursive: true });
  fs.symlinkSync(path.join(__dirname, 'node_modules'), path.join(place.folder, 'node_modules'));
});
afterAll(() => place.close());

const run = (/** @type {string} */ code) => place.run({ name: '', language: 'js', code, prints: undefined }, { NODE_OPTIONS: '' });

test.each(examples('js integrations').map((e) => [e.name, e]))('%s', async (_, example) => {
  const { status, out, err } = await run(example.code);
  expect({ status, err }).toEqual({ status: 0, err: '' });
  if (example.prints !== undefined) expect(out).toBe(example.prints);
});

test.each([
  ['langchain', 'GgufStreamEmbeddings', '@langchain/core/embeddings', 'Embeddings'],
  ['llamaindex', 'GgufStreamEmbedding', '@llamaindex/core/embeddings', 'BaseEmbedding'],
])('gguf-stream/%s is of the framework that is imported, or required', async (adapter, own, framework, base) => {
  const imported = `import { ${own} } from 'gguf-stream/${adapter}'; import { ${base} } from '${framework}'; console.log(new ${own}() instanceof ${base});`;
  expect(await run(imported)).toEqual({ status: 0, out: 'true\n', err: '' });
  const required = imported.replace(/import ({.*?}) from ('.*?')/g, 'const $1 = require($2)');
  const code = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); ${required}`;
  expect(await run(code)).toEqual({ status: 0, out: 'true\n', err: '' });
});
