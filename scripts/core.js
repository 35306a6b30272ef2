// How the Go core is built: as the library that the addon opens, or as the executable of process mode.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { writeOverlay } = require('./overlay');

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
  const link = platform === 'linux' ? `-Wl,-z,nodelete,--version-script=${exportsFile}` : '';
  // asyncpreemptoff: Go would preempt its threads with SIGURG, which a host may listen to
  const ldflags = ['-s', '-w', '-X', 'runtime.godebugDefault=asyncpreemptoff=1', ...(link ? [`-extldflags=${link}`] : [])].join(' ');
  const args = ['-trimpath', '-buildvcs=false', '-buildmode=c-shared', '-overlay', overlay, '-ldflags', ldflags];
  goBuild(args, path.join(folder, 'libgguf_stream.so'), './goloader/capi', env);
  fs.rmSync(path.join(folder, 'libgguf_stream.h'), { force: true });
}

/** The executable. @param {string} file @param {{ isStatic?: boolean, env?: Record<string, string> }} [o] */
function buildExecutable(file, { isStatic = false, env = {} } = {}) {
  const ldflags = ['-s', '-w', ...(isStatic ? ['-linkmode=external', '-extldflags=-static'] : [])].join(' ');
  goBuild(['-buildvcs=false', ...(isStatic ? ['-trimpath'] : []), '-ldflags', ldflags], file, './goloader/process', env);
}

module.exports = { root, buildLibrary, buildExecutable };
