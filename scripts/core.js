// How the native files are built: the Go core as the library that the addon opens or as the executable of process
// mode, and the addon by a compiler of choice.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { writeOverlay } = require('./overlay');
const { files } = require('../js/platforms');

const root = path.join(__dirname, '..');

/** @param {string[]} args @param {string} out @param {string} source @param {Record<string, string>} env */
function goBuild(args, out, source, env) {
  execFileSync('go', ['build', ...args, '-o', out, source], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, CGO_ENABLED: '1', CGO_LDFLAGS_ALLOW: '-Wl,.*', ...env },
  });
}

/** libgguf_stream.so into a folder. @param {string} folder @param {string} platform @param {Record<string, string>} [env] */
function buildLibrary(folder, platform, env = {}) {
  const build = path.join(root, 'build');
  const overlay = writeOverlay(path.join(build, '_overlay'));
  const exportsFile = path.join(build, 'exports.map'); // only gs_* leaves the library
  fs.writeFileSync(exportsFile, '{ global: gs_*; local: *; };\n');
  const link = platform === 'linux' ? `-s -Wl,-z,nodelete,--version-script=${exportsFile}` : '-s';
  // asyncpreemptoff: Go would preempt its threads with SIGURG, which a host may listen to
  const ldflags = ['-s', '-w', '-X', 'runtime.godebugDefault=asyncpreemptoff=1', `'-extldflags=${link}'`].join(' ');
  const args = ['-trimpath', '-buildvcs=false', '-buildmode=c-shared', '-overlay', overlay, '-ldflags', ldflags];
  goBuild(args, path.join(folder, 'libgguf_stream.so'), './goloader/capi', env);
  fs.rmSync(path.join(folder, 'libgguf_stream.h'), { force: true });
}

/** The executable into a folder. @param {string} folder @param {{ isStatic?: boolean, env?: Record<string, string> }} [o] */
function buildExecutable(folder, { isStatic = false, env = {} } = {}) {
  const ldflags = ['-s', '-w', ...(isStatic ? ['-linkmode=external', "'-extldflags=-static -s'"] : [])].join(' ');
  goBuild(['-buildvcs=false', ...(isStatic ? ['-trimpath'] : []), '-ldflags', ldflags], path.join(folder, files.process), './goloader/process', env);
}

/** The addon into a folder, with binding.gyp's own flags. @param {string} folder @param {string[]} compiler command and arguments */
function buildAddon(folder, [command, ...args]) {
  const [target] = JSON.parse(fs.readFileSync(path.join(root, 'binding.gyp'), 'utf8')).targets;
  const includes = ['goloader/capi', require('node-api-headers').include_dir, require('node-addon-api').include_dir.replaceAll('"', '')];
  const flags = ['-O2', '-fPIC', '-shared', '-s', ...target.cflags_cc, ...target.ldflags, ...target.libraries];
  const names = [...includes.map((i) => `-I${i}`), ...target.defines.map((/** @type {string} */ d) => `-D${d}`)];
  execFileSync(command, [...args, ...names, ...target.sources, ...flags, '-o', path.join(folder, files.addon)], { cwd: root, stdio: 'inherit' });
}

/** The core as a program with its symbols, for those that read its code; its path. @param {string} name */
function buildProgram(name) {
  const program = path.join(root, 'build', name);
  execFileSync('go', ['build', '-o', program, './goloader/capi'], { cwd: root, stdio: 'inherit' });
  return program;
}

module.exports = { root, buildLibrary, buildExecutable, buildAddon, buildProgram };
