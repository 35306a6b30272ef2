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

// Go names Core Foundation (for iOS, in runtime/cgo) and libresolv (for package net) in its flags, and the core uses nothing of
// them. zig does not have them, and a linker needs no more than this to go on.
const textBased = (/** @type {string} */ name) => `--- !tapi-tbd
tbd-version: 4
targets: [x86_64-macos, arm64-macos]
install-name: ${name}
exports:
  - targets: [x86_64-macos, arm64-macos]
    symbols: []
...
`;

/** Text-based libraries (names to link against; macOS has the code) of what Go links and zig lacks, into a folder; returns the linker's flags. @param {string} folder */
function appleStubs(folder) {
  const framework = path.join(folder, 'CoreFoundation.framework');
  fs.mkdirSync(framework, { recursive: true });
  fs.writeFileSync(path.join(framework, 'CoreFoundation.tbd'), textBased('/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation'));
  fs.writeFileSync(path.join(folder, 'libresolv.tbd'), textBased('/usr/lib/libresolv.9.dylib'));
  return `-F${folder} -L${folder}`;
}

module.exports = { zig, appleStubs };
