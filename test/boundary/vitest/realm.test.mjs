// Run by realms.test.js in each of vitest's pools.

import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import * as imported from '../../../js/index.js';

const { loadEmbedder, GgufError } = createRequire(import.meta.url)('../../..');

test('values of this realm', async () => {
  const e = loadEmbedder();
  const v = await e.embed('x');
  expect(v).toBeInstanceOf(Float32Array);
  expect(v).toHaveLength(384);
  const matrix = await e.embedMany(Array.from({ length: 300 }, (_, i) => `text ${i}`), { matrix: true });
  expect(matrix).toBeInstanceOf(Float32Array);
  await expect(e.embed(1)).rejects.toBeInstanceOf(GgufError);
  await e.close();
});

test('imported and required, they embed alike', async () => {
  const [a, b] = [loadEmbedder(), imported.loadEmbedder()];
  expect(Array.from(await a.embed('same'))).toEqual(Array.from(await b.embed('same')));
  await Promise.all([a.close(), b.close()]);
});
