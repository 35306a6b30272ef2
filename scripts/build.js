#!/usr/bin/env node
// Builds the two native files into build/native: the Go core (libgguf_stream.so) and the addon
// (gguf_stream.node). Names what is missing on the machine, with the cure. `--force` builds anew.

const { execFileSync, spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { writeOverlay } = require('./overlay');

const root = path.join(__dirname, '..');
const out = path.join(root, 'build', 'native');
const minimumNode = 20;

const tools = [
  { command: 'go', args: ['version'], cure: 'install Go 1.26 or later: https://go.dev/dl' },
  { command: process.env.CC || 'cc', args: ['--version'], cure: 'install a C compiler: apt-get install build-essential, or xcode-select --install' },
  { command: process.env.CXX || 'c++', args: ['--version'], cure: 'install a C++ compiler: apt-get install build-essential, or xcode-select --install' },
  { command: 'make', args: ['--version'], cure: 'install make: apt-get install build-essential' },
  { command: 'python3', args: ['--version'], cure: 'install Python 3, which node-gyp needs: apt-get install python3' },
];

function checkTools() {
  const missing = tools.filter((t) => spawnSync(t.command, t.args, { stdio: 'ignore' }).status !== 0);
  const lines = missing.map((t) => `  ${t.command} is missing: ${t.cure}`);
  if (Number(process.versions.node.split('.')[0]) < minimumNode) lines.push(`  Node ${process.versions.node} is too old: install Node ${minimumNode} or later`);
  if (process.platform !== 'linux' && process.platform !== 'darwin') lines.push(`  ${process.platform} cannot build yet: use Linux or macOS`);
  if (lines.length === 0) return;
  console.error(`gguf-stream cannot be built here:\n${lines.join('\n')}`);
  process.exit(1);
}

/** All files whose change makes a build stale. */
function sources(dir) {
  return fs
    .readdirSync(path.join(root, dir), { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile() && /\.(go|c|h|cc|bin|txt)$/.test(e.name) && !/_test\.go$/.test(e.name))
    .map((e) => path.join(e.parentPath ?? e.path, e.name))
    .sort();
}

function fingerprint() {
  const hash = crypto.createHash('sha256').update(process.version + process.arch);
  const files = [
    ...sources('goloader'),
    ...sources('device'),
    ...sources('addon'),
    ...['go.mod', 'binding.gyp', 'scripts/build.js', 'scripts/overlay.js'].map((f) => path.join(root, f)),
  ];
  for (const f of files) hash.update(f.slice(root.length)).update(fs.readFileSync(f));
  return hash.digest('hex');
}

function run(command, args, env = {}) {
  execFileSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
}

function buildCore() {
  const overlay = writeOverlay(path.join(root, 'build', '_overlay'));
  const exportsFile = path.join(root, 'build', 'exports.map'); // only gs_* leaves the library
  fs.writeFileSync(exportsFile, '{ global: gs_*; local: *; };\n');
  const link = process.platform === 'linux' ? `-Wl,-z,nodelete,--version-script=${exportsFile}` : '';
  // asyncpreemptoff: Go would preempt its threads with SIGURG, which a host may listen to
  const ldflags = ['-s', '-w', '-X', 'runtime.godebugDefault=asyncpreemptoff=1', ...(link ? [`-extldflags=${link}`] : [])].join(' ');
  run(
    'go',
    [
      'build',
      '-trimpath',
      '-buildvcs=false',
      '-buildmode=c-shared',
      '-overlay',
      overlay,
      '-ldflags',
      ldflags,
      '-o',
      path.join(out, 'libgguf_stream.so'),
      './goloader/capi',
    ],
    { CGO_ENABLED: '1', CGO_LDFLAGS_ALLOW: '-Wl,.*' },
  );
  fs.rmSync(path.join(out, 'libgguf_stream.h'), { force: true });
}

function buildAddon() {
  const gyp = require.resolve('node-gyp/bin/node-gyp.js');
  const prefix = path.join(path.dirname(process.execPath), '..');
  const headers = fs.existsSync(path.join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : [];
  run(process.execPath, [gyp, 'rebuild', '--silent', ...headers]);
  fs.mkdirSync(out, { recursive: true });
  fs.copyFileSync(path.join(root, 'build', 'Release', 'gguf_stream.node'), path.join(out, 'gguf_stream.node'));
}

function main() {
  checkTools();
  const stamp = path.join(out, 'stamp');
  const print = fingerprint();
  if (!process.argv.includes('--force') && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === print) return;
  buildAddon(); // first: node-gyp empties build/
  buildCore();
  fs.writeFileSync(stamp, print);
}

main();
