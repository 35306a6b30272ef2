#!/usr/bin/env node
// Slopes after a warm-up: `node scripts/leak.js` loads and closes 1,000 times and embeds 100,000 texts; `--quick` a tenth of both.
// Resident memory, both heaps, descriptors and threads must stay; what is off the heap must be counted back to 0.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const quick = process.argv.includes('--quick');
const model = path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');

if (!globalThis.gc) {
  const r = spawnSync(process.execPath, ['--expose-gc', __filename, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(r.status ?? 1);
}

const { loadEmbedder, openGguf, memoryReport } = require('..');

// What the fitted line may rise by over all rounds: an allocator's noise. 1,000 loads that forget 4 KiB each, or 100,000 texts
// that forget 40 bytes each, rise by more.
const rssBytes = 4 << 20;
const heapBytes = 1 << 19;

async function measure() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  const { regions, reserved, goHeap } = memoryReport();
  return {
    rss: process.memoryUsage.rss(),
    heap: process.memoryUsage().heapUsed,
    goHeap,
    regions,
    reserved,
    files: fs.readdirSync('/proc/self/fd').length,
    threads: fs.readdirSync('/proc/self/task').length,
  };
}

/** The rise of the least-squares line from the first value to the last. @param {number[]} values */
function rise(values) {
  const n = values.length;
  const mx = (n - 1) / 2;
  const my = values.reduce((a, b) => a + b) / n;
  let xy = 0;
  let xx = 0;
  for (const [i, y] of values.entries()) {
    xy += (i - mx) * (y - my);
    xx += (i - mx) ** 2;
  }
  return Math.round((xy / xx) * (n - 1));
}

/** @param {'load' | 'embed'} name @param {number} rounds @param {(i: number) => Promise<void>} round */
async function soak(name, rounds, round) {
  const samples = 20;
  const between = Math.max(1, Math.floor(rounds / samples));
  for (let i = 0; i < rounds / 4; i++) await round(i); // the warm-up
  const seen = [await measure()];
  for (let s = 0; s < samples; s++) {
    for (let i = 0; i < between; i++) await round(s * between + i);
    seen.push(await measure());
  }
  const [first, last] = [seen[0], seen[seen.length - 1]];
  const rss = rise(seen.map((m) => m.rss));
  const heap = rise(seen.map((m) => m.heap));
  console.log(`${name}: ${between * samples} rounds; resident memory rises by ${rss} B, V8's heap by ${heap} B`);
  console.log(`  rss ${first.rss} to ${last.rss}, V8 ${first.heap} to ${last.heap}, Go's heap ${first.goHeap} to ${last.goHeap}`);
  if (rss > rssBytes) throw new Error(`${name}: resident memory grows`);
  if (heap > heapBytes) throw new Error(`${name}: V8's heap grows`);
  if (last.goHeap > 10e6) throw new Error(`${name}: Go's heap holds ${last.goHeap} bytes`);
  for (const what of /** @type {const} */ (['regions', 'reserved', 'files']))
    if (last[what] > first[what]) throw new Error(`${name}: ${what} ${first[what]} became ${last[what]}`);
  if (last.threads > first.threads + 4) throw new Error(`${name}: threads ${first.threads} became ${last.threads}`);
}

async function main() {
  await soak('load', quick ? 100 : 1000, async () => {
    const e = loadEmbedder(model);
    const f = await openGguf(model);
    await Promise.all([e.embed('one text'), f.get('general.name')]);
    await Promise.all([e.close(), f.close()]);
  });
  const e = loadEmbedder(model);
  const each = 50;
  await soak('embed', (quick ? 10000 : 100000) / each, async (i) => {
    await e.embedMany(Array.from({ length: each }, (_, k) => `text ${i} ${k}`));
  });
  await e.close();
  const { total, regions } = memoryReport();
  if (total !== 0 || regions !== 0) throw new Error(`${total} bytes in ${regions} regions are left`);
  console.log('nothing is left');
}

main().catch((e) => {
  console.error(e.message);
  process.exit(1);
});
