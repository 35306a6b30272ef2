#!/usr/bin/env node
// Builds the native files into build/native: the addon (gguf_stream.node), the Go core as the library that it
// opens (libgguf_stream.so; .dylib on macOS), and the executable of process mode (gguf-stream-core). Names what is missing on the machine, with the cure. `--force` builds anew.

const { execFileSync, spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { filesOf } = require('../js/platforms');
const { root, buildLibrary, buildExecutable } = require('./core');

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
  if (process.platform !== 'linux' && process.platform !== 'darwin')
    lines.push(`  ${process.platform} cannot build: its package is built on Linux, by node scripts/packages.js`);
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
    ...['go.mod', 'binding.gyp', 'js/platforms.js', 'scripts/build.js', 'scripts/core.js', 'scripts/overlay.js'].map((f) => path.join(root, f)),
  ];
  for (const f of files) hash.update(f.slice(root.length)).update(fs.readFileSync(f));
  return hash.digest('hex');
}

function buildAddon() {
  const gyp = require.resolve('node-gyp/bin/node-gyp.js');
  const prefix = path.join(path.dirname(process.execPath), '..');
  const headers = fs.existsSync(path.join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : [];
  // not rebuild: it would empty build/
  execFileSync(process.execPath, [gyp, 'configure', 'build', '--silent', ...headers], { cwd: root, stdio: 'inherit' });
  fs.mkdirSync(out, { recursive: true });
  fs.copyFileSync(path.join(root, 'build', 'Release', 'gguf_stream.node'), path.join(out, filesOf(process.platform).addon));
}

function main() {
  checkTools();
  const stamp = path.join(out, 'stamp');
  const print = fingerprint();
  if (!process.argv.includes('--force') && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === print) return;
  buildAddon();
  buildLibrary(out, process.platform);
  buildExecutable(out, process.platform, [process.env.CC || 'cc']);
  fs.writeFileSync(stamp, print);
}

main();
