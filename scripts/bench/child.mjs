// One subject in one fresh process: the job comes as a message, the measurement goes back as one.

import { createRequire } from 'node:module';
import { subjects } from './subjects.mjs';

const { latency, throughput, workloads } = createRequire(import.meta.url)('../../js/bench/measure.js');

process.once('message', async ({ subject, options, seconds, scale }) => {
  const base = process.memoryUsage.rss();
  const s = await subjects[subject].open(options);
  const vector = await s.embed('The harbour was silent before the morning shift.');
  if (!vector.every(Number.isFinite)) throw new Error('the vector is not finite');
  const firstAt = performance.timeOrigin + performance.now();
  const one = await latency(s, 16, seconds);
  const rows = [{ name: '1 × 16', cpuMsPerText: one.cpuMs, msPerText: one.p50 }];
  for (const w of workloads) {
    const { name, cpuMsPerText, textsPerSecond } = await throughput(s, w, 0, scale);
    rows.push({ name, cpuMsPerText, msPerText: 1000 / textsPerSecond });
  }
  process.send({ firstAt, rows, rss: process.memoryUsage.rss() - base }, () => process.exit(0));
});
