// What the core changes in Go's runtime, as an overlay: lines of its files, replaced. It fails when a later Go has other lines.
//
// Signals: the runtime opens SIGCHLD and SIGPROF on every thread of its own, whatever was blocked. libuv's handlers would
// then run on goroutine stacks and write past their ends. Windows has no signals.
//
// Environment: GOMEMLIMIT, GOGC, GODEBUG, GOTRACEBACK and GOMAXPROCS are meant for programs in Go, not for the host; one that is
// malformed would end it.
//
// Heap: its first 64 MiB begin at a random place in them, and may end after 4 MiB. The next 64 would then be asked for while the
// host runs, and to have no room for them (ulimit -v) would end it. The place of the 64 MiB stays random.
//
// Threads: one that cannot be made (a limit of the user's or the container's processes) is tried again until it can. The runtime
// would end the host after a fifth of a second; that the core waits is noticed by those who wait for a vector.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** @typedef {{ file: string, systems: string[], lines: [RegExp, string, string][] }} Change a line that matches, what in it becomes what */

/** @type {[RegExp, string, string][]} */
const signals = [
  [/SIGCHLD: child/, '_SigNotify + _SigUnblock + _SigIgn', '_SigNotify + _SigIgn'],
  [/SIGPROF: prof/, '_SigNotify + _SigUnblock', '_SigNotify'],
];

/** @type {Change[]} */
const changes = [
  { file: 'sigtab_linux_generic.go', systems: ['linux'], lines: signals },
  { file: 'signal_darwin.go', systems: ['darwin'], lines: signals },
  { file: 'proc.go', systems: ['linux', 'darwin', 'win32'], lines: [[/^func getGodebugEarly\(/, '{', '{\n\tif true {\n\t\treturn "", true\n\t}']] },
  { file: 'env_posix.go', systems: ['linux', 'darwin', 'win32'], lines: [[/^func gogetenv\(/, '{', '{\n\tif true {\n\t\treturn ""\n\t}']] },
  { file: 'mheap.go', systems: ['linux', 'darwin', 'win32'], lines: [[/^\t+bits := logHeapArenaBytes/, 'logHeapArenaBytes - logPallocChunkBytes', '0']] },
  {
    file: 'cgo/gcc_libinit.c',
    systems: ['linux', 'darwin'],
    lines: [[/^\tfor \(tries = 0; tries < 20; tries\+\+\)/, 'tries < 20; tries++', '; tries += tries < 99']],
  },
];

/** The file with its lines replaced. @param {string} source @param {Change} change */
function changed(source, { lines }) {
  const text = fs.readFileSync(source, 'utf8').split('\n');
  for (const [where, from, to] of lines) {
    const at = text.findIndex((line) => where.test(line) && line.includes(from));
    if (at < 0) throw new Error(`overlay: ${path.basename(source)} has no line ${where} with ${from}; use the Go version that go.mod names`);
    text[at] = text[at].replace(from, to);
  }
  return text.join('\n');
}

/** Writes the changed files and their overlay into a folder; returns the overlay's path. @param {string} folder @param {string} platform */
function writeOverlay(folder, platform) {
  const goroot = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8', cwd: path.join(__dirname, '..') }).trim();
  fs.mkdirSync(folder, { recursive: true });
  /** @type {Record<string, string>} */
  const Replace = {};
  for (const change of changes.filter((c) => c.systems.includes(platform))) {
    const source = path.join(goroot, 'src', 'runtime', change.file);
    Replace[source] = path.join(folder, path.basename(source));
    fs.writeFileSync(Replace[source], changed(source, change));
  }
  const json = path.join(folder, `${platform}.json`);
  fs.writeFileSync(json, JSON.stringify({ Replace }));
  return json;
}

module.exports = { writeOverlay };
