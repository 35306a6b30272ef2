#!/usr/bin/env node
// Makes the packages that are published, as tarballs in build/packages: the main one, one a row of js/platforms.js and
// the bundled model's. Each platform is built by zig's C compiler against its oldest glibc.
//
//   node scripts/packages.js           all platforms
//   node scripts/packages.js NAME ...  some platforms' packages
//   node scripts/packages.js --host    this machine's only, from what npm run build has made: for tests
//
// Checks what it made: the files of each package (test/golden/packages.json; the main one's also as package.json names and git
// has them), the sizes, and what the native files need of a system (scripts/binaries.js).

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { platforms, model, filesOf } = require('../js/platforms');
const { root, buildAddon, buildExecutable, buildLibrary, buildStaticExecutable } = require('./core');
const { zig, appleStubs } = require('./zig');
const { checkBinary } = require('./binaries');
const own = require('../package.json');

/** @typedef {import('../js/platforms').Platform} Platform */

const out = path.join(root, 'build', 'packages');
const golden = path.join(root, 'test', 'golden', 'packages.json');
// the main package and a platform's, without the model; installed: of what is published, since gcc's code is larger
const maxPackedBytes = 2_500_000;
const maxInstalledBytes = 6_000_000;
/** @type {Record<string, string>} */
const goSystems = { linux: 'linux', darwin: 'darwin', win32: 'windows' };
/** @type {Record<string, string>} */
const goProcessors = { x64: 'amd64', arm64: 'arm64' };

/** @param {string} folder @param {Record<string, string | object>} texts */
function write(folder, texts) {
  for (const [name, text] of Object.entries(texts))
    fs.writeFileSync(path.join(folder, name), typeof text === 'string' ? text : `${JSON.stringify(text, undefined, 2)}\n`);
}

/** @param {string} name */
function freshFolder(name) {
  const folder = path.join(out, name.replace('/', '+'));
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

/** What all manifests share. @param {string} name @param {string} description @param {string[]} list */
function manifest(name, description, list) {
  return { name, version: own.version, description, license: own.license, engines: own.engines, main: 'index.js', files: list, preferUnplugged: true };
}

function mainPackage() {
  const folder = freshFolder(own.name);
  for (const name of [...own.files, 'README.md', 'LICENSE']) fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  const { private: _, scripts: _s, devDependencies: _d, ...published } = own;
  const optionalDependencies = Object.fromEntries([...platforms.map((p) => [p.package, own.version]), [model.package, model.version]]);
  write(folder, { 'package.json': { ...published, optionalDependencies } });
  return folder;
}

function modelPackage() {
  const folder = freshFolder(model.package);
  for (const name of [model.file, 'LICENSE', 'README.md']) fs.copyFileSync(path.join(root, 'models', name), path.join(folder, name));
  write(folder, {
    'package.json': {
      ...manifest(model.package, 'all-MiniLM-L6-v2 (Q8_0 GGUF), the bundled model of gguf-stream', ['index.js', model.file]),
      version: model.version,
      license: 'Apache-2.0',
    },
    'index.js': `module.exports = { file: require('node:path').join(__dirname, '${model.file}') };\n`,
  });
  return folder;
}

/** The native files of a row by what they are; the library stands beside the addon, and in index.js for file tracers. @param {Platform} p */
function nativeFiles(p) {
  const { addon, library, process: executable } = filesOf(p.platform);
  return { ...(p.holds.includes('addon') && { addon, library }), ...(p.holds.includes('process') && { process: executable }) };
}

/** @param {Platform} p @param {(p: Platform, folder: string) => void} build */
function platformPackage(p, build) {
  const folder = freshFolder(p.package);
  build(p, folder);
  const named = nativeFiles(p);
  const list = Object.values(named);
  const parts = { addon: 'the addon', process: 'an executable' };
  const what = `${p.holds.map((h) => parts[h]).join(' and ')} of gguf-stream for ${p.platform} ${p.arch}${p.libc ? ` (${p.libc})` : ''}`;
  const { license: _, ...common } = manifest(p.package, what, ['index.js', 'THIRD-PARTY.txt', ...list]);
  const members = [`version: '${own.version}'`, ...Object.entries(named).map(([name, file]) => `${name}: path.join(__dirname, '${file}')`)];
  write(folder, {
    'package.json': { ...common, license: own.license, os: [p.platform], cpu: [p.arch], ...(p.libc && { libc: [p.libc] }) },
    'index.js': `const path = require('node:path');\nmodule.exports = { ${members.join(', ')} };\n`,
    'README.md': `# ${p.package}\n\n${what[0].toUpperCase()}${what.slice(1)}. Installed by \`gguf-stream\`; not for use on its own.\n`,
    'THIRD-PARTY.txt': thirdParty(build === buildByZig ? p : undefined),
  });
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  return folder;
}

/** What zig links in from its own libraries, by platform: names and licences below its lib folder. @type {Record<string, [string, string][]>} */
const zigParts = {
  linux: [
    ["LLVM's libc++, libc++abi and libunwind", 'libcxx/LICENSE.TXT'],
    ['musl', 'libc/musl/COPYRIGHT'],
  ],
  darwin: [["LLVM's libc++, libc++abi and libunwind", 'libcxx/LICENSE.TXT']],
  win32: [
    ["LLVM's libc++, libc++abi and libunwind", 'libcxx/LICENSE.TXT'],
    ['MinGW-w64 and winpthreads', 'libc/mingw/COPYING'],
  ],
};

/** The licences of what is linked in. @param {Platform | undefined} byZig the row that zig builds */
function thirdParty(byZig) {
  const go = (/** @type {string[]} */ ...args) => execFileSync('go', args, { cwd: root, encoding: 'utf8' }).trim();
  const parts = [{ name: 'The Go runtime and standard library', file: path.join(go('env', 'GOROOT'), 'LICENSE') }];
  const modules = new Set(go('list', '-deps', '-f', '{{with .Module}}{{if not .Main}}{{.Path}}|{{.Dir}}{{end}}{{end}}', './goloader/capi').split('\n'));
  for (const m of [...modules].filter(Boolean)) parts.push({ name: m.split('|')[0], file: path.join(m.split('|')[1], 'LICENSE') });
  if (byZig) for (const [name, file] of zigParts[byZig.platform]) parts.push({ name, file: path.join(path.dirname(zig()), 'lib', file) });
  return parts.map(({ name, file }) => `${name}\n${'='.repeat(name.length)}\n\n${fs.readFileSync(file, 'utf8').trim()}\n`).join('\n\n');
}

/** @param {Platform} p @param {string} folder */
function buildByZig(p, folder) {
  process.env.ZIG_GLOBAL_CACHE_DIR ??= path.join(root, 'build', 'zig-cache');
  const env = {
    GOOS: goSystems[p.platform],
    GOARCH: goProcessors[p.arch],
    CC: `${zig()} cc -target ${p.target}`,
    ...(p.platform === 'darwin' && { CGO_LDFLAGS: appleStubs(path.join(root, 'build', '_apple')) }),
  };
  if (p.holds.includes('addon')) {
    buildAddon(folder, p.platform, [zig(), 'c++', '-target', p.target]);
    buildLibrary(folder, p.platform, env);
    buildExecutable(folder, p.platform, [zig(), 'cc', '-target', p.target]);
  } else buildStaticExecutable(folder, p.platform, env);
  for (const [holds, name] of Object.entries(nativeFiles(p))) checkBinary(path.join(folder, name), holds, p);
}

/** The executable that takes the place of musl's is linked anew, so that it runs without this machine's libc (scripts/test-musl.sh). @param {Platform} p @param {string} folder */
function copyBuilt(p, folder) {
  if (!p.holds.includes('addon')) buildStaticExecutable(folder, p.platform);
  else for (const name of Object.values(nativeFiles(p))) fs.copyFileSync(path.join(root, 'build', 'native', name), path.join(folder, name));
}

/** @param {string} folder @returns {{ name: string, filename: string, size: number, unpackedSize: number, files: { path: string }[] }} */
function pack(folder) {
  return JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', out], { cwd: folder, encoding: 'utf8' }))[0];
}

/** @param {ReturnType<typeof pack>[]} packed */
function checkFiles(packed) {
  const expected = JSON.parse(fs.readFileSync(golden, 'utf8'));
  const tracked = execFileSync('git', ['ls-files', ...own.files], { cwd: root, encoding: 'utf8' });
  expected[own.name].push(...tracked.trim().split('\n'));
  for (const { name, files: list } of packed) {
    const got = list.map((f) => f.path).sort();
    if (JSON.stringify(got) !== JSON.stringify(expected[name].sort())) throw new Error(`${name} holds other files than ${golden} says: ${JSON.stringify(got)}`);
  }
}

/** @param {ReturnType<typeof pack>[]} packed @param {'size' | 'unpackedSize'} size @param {number} limit */
function checkSizes(packed, size, limit) {
  const bytes = Object.fromEntries(packed.map((p) => [p.name, p[size]]));
  for (const { package: name } of platforms) {
    const sum = bytes[own.name] + (bytes[name] ?? 0);
    if (sum > limit) throw new Error(`${name} takes ${sum} bytes (${size}); ${limit} are allowed`);
  }
}

function main() {
  const host = process.argv.includes('--host');
  const named = process.argv.slice(2).filter((a) => !a.startsWith('--'));
  const isHere = (/** @type {Platform} */ p) => p.platform === process.platform && p.arch === process.arch;
  const rows = platforms.filter((p) => (host ? isHere(p) : named.length === 0 || named.includes(p.package)));
  fs.rmSync(out, { recursive: true, force: true });
  const folders = [...rows.map((p) => platformPackage(p, host ? copyBuilt : buildByZig)), modelPackage(), mainPackage()];
  const packed = folders.map(pack);
  console.table(packed.map((p) => ({ package: p.name, files: p.files.length, 'packed bytes': p.size, 'installed bytes': p.unpackedSize })));
  checkFiles(packed);
  checkSizes(packed, 'size', maxPackedBytes);
  if (!host) checkSizes(packed, 'unpackedSize', maxInstalledBytes);
}

main();
