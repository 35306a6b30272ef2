// The table of platforms: which package holds the native files, by process.platform, arch and libc.

/** @type {ReadonlyArray<{ platform: string, arch: string, libc: string | null, package: string }>} */
const platforms = [
  { platform: 'linux', arch: 'x64', libc: 'glibc', package: '@gguf-stream/linux-x64-gnu' },
  { platform: 'linux', arch: 'arm64', libc: 'glibc', package: '@gguf-stream/linux-arm64-gnu' },
  { platform: 'darwin', arch: 'x64', libc: null, package: '@gguf-stream/darwin-x64' },
  { platform: 'darwin', arch: 'arm64', libc: null, package: '@gguf-stream/darwin-arm64' },
];

/** glibc or musl on Linux; null elsewhere. */
function libc() {
  if (process.platform !== 'linux') return null;
  const report = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (/** @type {unknown} */ (process.report.getReport()));
  return report.header.glibcVersionRuntime ? 'glibc' : 'musl';
}

module.exports = { platforms, libc };
