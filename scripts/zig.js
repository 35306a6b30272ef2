// zig's C compiler, which builds for every platform of js/platforms.js: the PyPI package, pinned, in build/zig.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const folder = path.join(root, 'build', 'zig');
const binary = path.join(folder, 'ziglang', 'zig');

/** Installs zig unless it is there; returns its path. */
function zig() {
  const requirements = path.join(__dirname, 'zig-requirements.txt');
  if (!fs.existsSync(binary)) {
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes', '--target', folder, '-r', requirements];
    execFileSync('python3', args, { stdio: 'inherit' });
  }
  return binary;
}

module.exports = { zig };
