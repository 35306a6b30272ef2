#!/usr/bin/env node
// The long versions of test/boundary, by hand: `node scripts/stress.js [storms] [workers] [--seconds 60] [--terminations 10000]`.
// storms: of signals and children, so many seconds each while all threads embed, under every kernel set that the machine
// runs; workers: so many that end mid-call while eight load and embed. Exit 0 when every process ended as it should.

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, terminations: { type: 'string', default: '10000' } },
  allowPositionals: true,
});
const parts = positionals.length ? positionals : ['storms', 'workers'];
const root = path.join(__dirname, '..');

/** @param {string} tests @param {Record<string, string>} env */
function jest(tests, env) {
  const started = Date.now();
  const r = spawnSync(process.execPath, [require.resolve('jest/bin/jest'), '--runInBand', tests, '-t', 'storm|workers end'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  const outcome = r.status === 0 ? 'passed' : `FAILED\n${r.stderr}`;
  console.log(`${tests} ${JSON.stringify(env)}: ${outcome} in ${Math.round((Date.now() - started) / 1000)} s`);
  for (const [, said] of `${r.stdout}${r.stderr}`.matchAll(/console\.log\n\s*(.*)/g)) console.log(`  ${said}`);
  if (r.status !== 0) process.exitCode = 1;
}

if (parts.includes('storms'))
  for (const set of require('..').kernels().available) jest('test/boundary/signals', { GGUF_STREAM_KERNELS: set, GGUF_STREAM_STORM_SECONDS: values.seconds });
if (parts.includes('workers')) jest('test/boundary/lifetimes', { GGUF_STREAM_TERMINATIONS: values.terminations });
