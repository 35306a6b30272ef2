// Runs every case of a list made by scripts/genhostile through the public API, in one process, and prints what came
// of each as JSON: the errors, the CPU time, the growth of memory. The process must live to the end.

const fs = require('node:fs');
const v8 = require('node:v8');
const path = require('node:path');
const { loadEmbedder, openGguf, memoryReport } = require('../..');

const status = () => fs.readFileSync('/proc/self/status', 'utf8');
/** @param {string} name */
const kilobytes = (name) => Number(status().match(new RegExp(`${name}:\\s*(\\d+)`))[1]);

/** @param {any} e */
const plain = (e) => ({ name: e.name, code: e.code, kind: e.kind, field: e.field, offset: e.offset, message: e.message });

/** @param {string} file */
async function open(file) {
  const f = await openGguf(file);
  try {
    for await (const [key] of f) if (typeof key !== 'string') throw new Error('no key');
    await f.tensors();
  } finally {
    await f.close();
  }
}

/** @param {string} file */
async function embed(file) {
  const e = loadEmbedder(file);
  try {
    return Array.from(await e.embed('hello world'));
  } finally {
    await e.close();
  }
}

/** @param {() => Promise<any>} f */
const outcome = (f) =>
  f().then(
    (value) => ({ value }),
    (e) => ({ error: plain(e) }),
  );

/** @param {{ path: string }} c */
async function run(c) {
  globalThis.gc();
  fs.writeFileSync('/proc/self/clear_refs', '5'); // the peak of RSS starts anew
  const rss = kilobytes('VmRSS');
  const heap = v8.getHeapStatistics().used_heap_size;
  const cpu = process.cpuUsage();
  const embedded = await outcome(() => embed(c.path)); // a hostile file's first reader is the embedder
  const { user, system } = process.cpuUsage(cpu);
  const rssGrowth = (kilobytes('VmHWM') - rss) * 1024;
  const { purposes, reserved, regions, goHeap } = memoryReport();
  const opened = await outcome(() => open(c.path));
  globalThis.gc();
  return {
    ...c,
    embedded,
    opened,
    left: { ...purposes, reserved, regions },
    cpuMs: (user + system) / 1000,
    rssGrowth,
    heapGrowth: v8.getHeapStatistics().used_heap_size - heap,
    goHeap,
  };
}

async function main() {
  const folder = process.argv[2];
  const cases = JSON.parse(fs.readFileSync(path.join(folder, 'cases.json'), 'utf8'));
  const before = await embed();
  const results = [];
  for (const c of cases) {
    const result = await run(c);
    // others slow one run down, a slow reader all of them
    for (let i = 0; i < 2 && result.cpuMs >= 1000; i++) result.cpuMs = Math.min(result.cpuMs, (await run(c)).cpuMs);
    results.push(result);
  }
  const alive = JSON.stringify(await embed()) === JSON.stringify(before);
  fs.writeFileSync(path.join(folder, 'results.json'), JSON.stringify({ results, alive }));
}

main();
