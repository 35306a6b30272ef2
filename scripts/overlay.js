// Go's runtime opens SIGCHLD and SIGPROF on every thread of its own, whatever was blocked. libuv's handlers
// would then run on goroutine stacks and write past their ends. The overlay is the runtime's own table with
// the two flags taken out; it fails when a later Go has other lines.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** Where the table stands. Windows has no signals. @type {Record<string, string | undefined>} */
const tables = { linux: 'sigtab_linux_generic.go', darwin: 'signal_darwin.go' };

/** Writes the changed file and its overlay into a folder; returns the overlay's path, nothing where none is needed. @param {string} folder @param {string} platform */
function writeOverlay(folder, platform) {
  const table = tables[platform];
  if (!table) return undefined;
  const goroot = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8', cwd: path.join(__dirname, '..') }).trim();
  const source = path.join(goroot, 'src', 'runtime', table);
  const lines = fs.readFileSync(source, 'utf8').split('\n');
  let changed = 0;
  for (const [i, line] of lines.entries()) {
    if (/SIGCHLD: child/.test(line) && line.includes('_SigNotify + _SigUnblock + _SigIgn')) {
      lines[i] = line.replace('_SigNotify + _SigUnblock + _SigIgn', '_SigNotify + _SigIgn');
      changed++;
    } else if (/SIGPROF: prof/.test(line) && line.includes('_SigNotify + _SigUnblock')) {
      lines[i] = line.replace('_SigNotify + _SigUnblock', '_SigNotify');
      changed++;
    }
  }
  if (changed !== 2)
    throw new Error(`overlay: Go's signal table changed (${changed} of 2 lines found in ${path.basename(source)}); use the Go version that go.mod names`);
  fs.mkdirSync(folder, { recursive: true });
  const target = path.join(folder, table);
  fs.writeFileSync(target, lines.join('\n'));
  const json = path.join(folder, `${platform}.json`);
  fs.writeFileSync(json, JSON.stringify({ Replace: { [source]: target } }));
  return json;
}

module.exports = { writeOverlay };
