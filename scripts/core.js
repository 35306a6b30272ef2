// How the native files are built: the Go core as the library that the addon opens and the executable of process mode needs,
// or as an executable that needs nothing, and the addon by a compiler of choice.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { writeOverlay } = require('./overlay');
const { filesOf } = require('../js/platforms');

const root = path.join(__dirname, '..');

/** @param {string[]} args @param {string} out @param {string} source @param {string} platform @param {Record<string, string>} env */
function goBuild(args, out, source, platform, env) {
  const overlay = writeOverlay(path.join(root, 'build', '_overlay'), platform);
  execFileSync('go', ['build', '-trimpath', '-buildvcs=false', '-overlay', overlay, ...args, '-o', out, source], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, CGO_ENABLED: '1', CGO_LDFLAGS_ALLOW: '-Wl,.*', ...env },
  });
}

/** The core's library into a folder. @param {string} folder @param {string} platform @param {Record<string, string>} [env] */
function buildLibrary(folder, platform, env = {}) {
  const exportsFile = path.join(root, 'build', 'exports.map'); // only gs_* leaves the library
  fs.writeFileSync(exportsFile, '{ global: gs_*; local: *; };\n');
  const { library } = filesOf(platform);
  /** @type {Record<string, string | undefined>} */
  const links = { linux: `-Wl,-z,nodelete,--version-script=${exportsFile}`, darwin: `-Wl,-install_name,@loader_path/${library}` };
  // asyncpreemptoff: Go would preempt its threads with SIGURG, which a host may listen to
  const ldflags = ['-s', '-w', '-X', 'runtime.godebugDefault=asyncpreemptoff=1', `'-extldflags=${['-s', links[platform]].join(' ').trim()}'`].join(' ');
  goBuild(['-buildmode=c-shared', '-ldflags', ldflags], path.join(folder, library), './goloader/capi', platform, env);
  fs.rmSync(path.join(folder, `${path.parse(library).name}.h`), { force: true });
}

/** The executable into a folder where the library lies, from which it has its code. @param {string} folder @param {string} platform @param {string[]} compiler command and arguments */
function buildExecutable(folder, platform, [command, ...args]) {
  const { library, process: executable } = filesOf(platform);
  const files = ['goloader/program/main.c', '-o', path.join(folder, executable)];
  const links = platform === 'win32' ? [path.join(folder, library)] : [`-L${folder}`, `-l${path.parse(library).name.slice('lib'.length)}`];
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-s', ...(platform === 'linux' ? ['-Wl,-rpath,$ORIGIN'] : [])];
  execFileSync(command, [...args, '-Igoloader/capi', ...files, ...links, ...flags], { cwd: root, stdio: 'inherit' });
}

/** The executable that needs nothing, not even a libc, for where the library cannot be loaded. @param {string} folder @param {string} platform @param {Record<string, string>} [env] */
function buildStaticExecutable(folder, platform, env = {}) {
  const ldflags = ['-s', '-w', '-linkmode=external', "'-extldflags=-static -s'"].join(' ');
  goBuild(['-ldflags', ldflags], path.join(folder, filesOf(platform).process), './goloader/program', platform, env);
}

/** Flags of the addon beside binding.gyp's. The host gives Node-API: on Windows by addon/napi_windows.cc. @type {Record<string, string[]>} */
const addonFlags = {
  linux: ['-fPIC', `-Wl,-z,nodelete,--version-script=${path.join(root, 'addon', 'exports.map')}`, '-ldl', '-lpthread'],
  darwin: ['-fPIC', '-Wl,-undefined,dynamic_lookup'],
  win32: ['-DBUILDING_NODE_EXTENSION'],
};
const windowsSources = ['addon/platform_windows.cc', 'addon/napi_windows.cc'];

/** The addon into a folder, with binding.gyp's own flags. @param {string} folder @param {string} platform @param {string[]} compiler command and arguments */
function buildAddon(folder, platform, [command, ...args]) {
  const [target] = JSON.parse(fs.readFileSync(path.join(root, 'binding.gyp'), 'utf8')).targets;
  const includes = ['goloader/capi', require('node-api-headers').include_dir, require('node-addon-api').include_dir.replaceAll('"', '')];
  const posix = (/** @type {string} */ s) => s.includes('_posix');
  const sources = platform === 'win32' ? [...target.sources.filter((/** @type {string} */ s) => !posix(s)), ...windowsSources] : target.sources;
  const flags = ['-O2', '-shared', '-s', ...target.cflags_cc, ...addonFlags[platform]];
  const names = [...includes.map((i) => `-I${i}`), ...target.defines.map((/** @type {string} */ d) => `-D${d}`)];
  execFileSync(command, [...args, ...names, ...sources, ...flags, '-o', path.join(folder, filesOf(platform).addon)], { cwd: root, stdio: 'inherit' });
}

/** The core as a program with its symbols, for those that read its code; its path. @param {string} name */
function buildProgram(name) {
  const program = path.join(root, 'build', name);
  execFileSync('go', ['build', '-o', program, './goloader/capi'], { cwd: root, stdio: 'inherit' });
  return program;
}

module.exports = { root, buildLibrary, buildExecutable, buildStaticExecutable, buildAddon, buildProgram };
