// One life of everything that crosses the boundary, for scripts/sanitize.sh --valgrind: copied and external results, progress,
// errors, a cancelled call, a worker that ends in the middle, what is left at the end.

const assert = require('node:assert/strict');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { loadEmbedder, openGguf, memoryReport } = require('../..');

const model = path.join(__dirname, '..', '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
const worker = `const { loadEmbedder } = require(${JSON.stringify(path.join(__dirname, '..', '..'))});
  const e = loadEmbedder();
  e.ready().then(() => { e.embedMany(Array(200).fill('goes on')).catch(() => {}); setTimeout(() => process.exit(0), 5); });`;

async function main() {
  let reports = 0;
  const e = loadEmbedder({ model, onProgress: () => reports++ });
  assert.equal((await e.embed('one text')).length, 384);
  assert.equal((await e.embedMany(Array(70).fill('some words'), { matrix: true })).length, 70 * 384);
  assert.equal((await e.tokenize('hello')).length, 3);
  await assert.rejects(e.embed('x', { dimensions: 5000 }), { code: 'ERR_ARGUMENT' });
  const stop = new AbortController();
  const cancelled = e.embedMany(Array(200).fill('words '.repeat(50)), { signal: stop.signal });
  setTimeout(() => stop.abort('enough'), 5);
  await cancelled.catch((reason) => assert.equal(reason, 'enough'));
  const f = await openGguf(model);
  assert.equal(await f.get('general.architecture'), 'bert');
  for await (const c of f.chunks('position_embd.weight')) assert.ok(c.data.length > 0);
  await f.close();
  assert.equal(await new Promise((resolve) => new Worker(worker, { eval: true }).on('exit', resolve)), 0);
  await e.close();
  assert.ok(reports > 0);
  for (let k = 0; k < 100 && memoryReport().purposes.weights; k++) await new Promise((r) => setTimeout(r, 100));
  assert.equal(memoryReport().purposes.weights, 0);
  console.log('a life without a report');
}

main();
