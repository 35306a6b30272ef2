#!/usr/bin/env node
// Installs the packages of build/packages as users do, into empty projects, and embeds one text in each: every vector must have
// the bits that this checkout gives. Nothing but node is on PATH: no Go, no compiler.
//
//   node scripts/packages.js && node scripts/test-packages.js          all cases, through a local registry (verdaccio)
//   node scripts/packages.js --host && node scripts/test-packages.js --quick [CASE ...]    from the tarballs: for CI
//
// Runtimes and frameworks are npm packages of pinned versions, installed under build/try.

const { execFileSync, spawn, spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { cases, runtimes } = require('./package-cases');
const { libc } = require('../js/platforms');

const root = path.join(__dirname, '..');
const packages = path.join(root, 'build', 'packages');
const place = path.join(root, 'build', 'try');
const port = 48731;

const quick = process.argv.includes('--quick');
const named = process.argv.slice(2).filter((a) => !a.startsWith('--'));

/** @param {string} command @param {string[]} args @param {string} cwd @param {object} [env] */
function run(command, args, cwd, env) {
  const r = spawnSync(command, args, { cwd, encoding: 'utf8', env: env ?? process.env, timeout: 300_000 });
  if (r.status !== 0)
    throw new Error(`${path.basename(command)} ${args.join(' ')} ended with ${r.signal ?? r.status}\n${r.stdout}\n${r.stderr}${r.error ?? ''}`);
  return r.stdout;
}

const tarballs = () => fs.readdirSync(packages).filter((f) => f.endsWith('.tgz'));

/** A registry that holds our packages and passes the rest on; returns its end. */
async function registry() {
  const uplink = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
  const home = path.join(place, 'registry');
  fs.rmSync(home, { recursive: true, force: true });
  fs.mkdirSync(home, { recursive: true });
  const ours = { access: '$all', publish: '$all' };
  const config = {
    storage: './storage',
    uplinks: { up: { url: uplink, maxage: '60m' } },
    packages: { '@gguf-stream/*': ours, 'gguf-stream': ours, '**': { access: '$all', proxy: 'up' } },
    auth: { htpasswd: { file: './htpasswd' } },
    max_body_size: '100mb',
    log: { type: 'file', path: './log', level: 'warn' },
  };
  fs.writeFileSync(path.join(home, 'config.yaml'), JSON.stringify(config)); // JSON is YAML
  const tool = toolFolder('verdaccio', { verdaccio: '6.10.4' }, { 'node-fetch': '2.7.0' }); // it asks for a tag that mirrors do not have
  const server = spawn(runtime('node22'), [path.join(tool, 'node_modules/verdaccio/bin/verdaccio'), '-c', 'config.yaml', '-l', `127.0.0.1:${port}`], {
    cwd: home,
    stdio: 'ignore',
  });
  const url = `http://127.0.0.1:${port}/`;
  for (let i = 0; i < 300 && !(await fetch(`${url}-/ping`).catch(() => undefined))?.ok; i++) await new Promise((r) => setTimeout(r, 200));
  const npmrc = path.join(home, 'npmrc');
  fs.writeFileSync(npmrc, `registry=${url}\n//127.0.0.1:${port}/:_authToken=none\n`);
  for (const t of tarballs()) run('npm', ['publish', '--userconfig', npmrc, path.join(packages, t)], home);
  return { url, end: () => server.kill() };
}

/** A folder with packages of pinned versions, kept between runs. @param {string} name @param {Record<string, string>} dependencies @param {object} [overrides] */
function toolFolder(name, dependencies, overrides) {
  const folder = path.join(place, 'tools', name);
  const json = JSON.stringify({ private: true, dependencies, overrides });
  if (fs.existsSync(path.join(folder, 'done')) && fs.readFileSync(path.join(folder, 'package.json'), 'utf8') === json) return folder;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), json);
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--force'], folder);
  fs.writeFileSync(path.join(folder, 'done'), '');
  return folder;
}

/** @param {string} name */
function runtime(name) {
  const [dependency, binary] = runtimes[name];
  return path.join(toolFolder(name, { runtime: dependency }), 'node_modules', 'runtime', binary);
}

/** An empty project with gguf-stream and a case's own packages. @param {string} name @param {Record<string, string>} devDependencies @param {string | undefined} url */
function project(name, devDependencies, url) {
  const folder = path.join(place, 'projects', name);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, devDependencies }));
  fs.writeFileSync(path.join(folder, '.npmrc'), url ? `registry=${url}\n` : '');
  const start = performance.now();
  const otherLibc = libc() === 'glibc' ? '-musl-' : '-gnu-'; // npm refuses what is not for here, where it is named
  const here = tarballs().filter((t) => !t.includes(otherLibc));
  const what = url ? ['gguf-stream'] : here.map((t) => path.join(packages, t));
  run('npm', ['install', '--no-audit', '--no-fund', ...what], folder);
  return { folder, seconds: (performance.now() - start) / 1000 };
}

/** @param {import('./package-cases').Case} c @param {{ folder: string }} p */
function attempt(c, p) {
  for (const [file, text] of Object.entries(c.files)) {
    fs.mkdirSync(path.dirname(path.join(p.folder, file)), { recursive: true });
    fs.writeFileSync(path.join(p.folder, file), text);
  }
  const bin = path.join(place, 'bin', c.runtime);
  fs.rmSync(bin, { recursive: true, force: true });
  fs.mkdirSync(bin, { recursive: true });
  const binary = runtime(c.runtime);
  fs.symlinkSync(binary, path.join(bin, 'node'));
  let printed = '';
  for (const args of c.run) printed += run(binary, args, p.folder, { PATH: bin, HOME: place, NO_COLOR: '1', ...c.env });
  return printed;
}

async function main() {
  fs.mkdirSync(place, { recursive: true });
  const { loadEmbedder } = require('..');
  const embedder = loadEmbedder();
  const want = crypto
    .createHash('sha256')
    .update(await embedder.embed('a text'))
    .digest('hex');
  await embedder.close();
  const server = quick ? undefined : await registry();
  const rows = [];
  let failed = 0;
  try {
    for (const c of cases.filter((x) => (named.length > 0 ? named.includes(x.name) : !quick || x.quick))) {
      /** @type {Record<string, unknown>} */
      const row = { case: c.name, runtime: c.runtime, result: 'ok' };
      const start = performance.now();
      try {
        const p = project(c.name, c.packages ?? {}, server?.url);
        row['install s'] = p.seconds.toFixed(1);
        const found = attempt(c, p).match(/vector ([0-9a-f]{64})/g) ?? [];
        if (found.length === 0 || found.some((v) => v !== `vector ${want}`)) throw new Error(`other vectors: ${found}`);
      } catch (e) {
        failed++;
        row.result = 'FAILED';
        console.error(`${c.name}: ${/** @type {Error} */ (e).message}`);
      }
      row['all s'] = ((performance.now() - start) / 1000).toFixed(1);
      rows.push(row);
    }
  } finally {
    server?.end();
  }
  console.table(rows);
  console.log(`${rows.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || rows.length === 0 ? 1 : 0;
}

main();
