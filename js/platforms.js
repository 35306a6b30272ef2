// The table of platforms: which packages hold the native files, by process.platform, arch and libc, best first.
// scripts/packages.js builds the packages from it; js/locate.js finds them. The names stand as literals in
// resolve(), since bundlers and file tracers follow nothing else.

/**
 * @typedef {object} Platform
 * @property {string} platform
 * @property {string} arch
 * @property {string | null} libc null: any
 * @property {'addon' | 'process'} holds the addon with the core's library, or the core as an executable
 * @property {string} package
 * @property {string} target zig's name of the platform, with the oldest glibc
 * @property {() => string} resolve
 */

/** @type {ReadonlyArray<Platform>} */
const platforms = [
  {
    platform: 'linux',
    arch: 'x64',
    libc: 'glibc',
    holds: 'addon',
    package: '@gguf-stream/linux-x64-gnu',
    target: 'x86_64-linux-gnu.2.17',
    resolve: () => require.resolve('@gguf-stream/linux-x64-gnu'),
  },
  {
    platform: 'linux',
    arch: 'x64',
    libc: null,
    holds: 'process',
    package: '@gguf-stream/linux-x64',
    target: 'x86_64-linux-musl',
    resolve: () => require.resolve('@gguf-stream/linux-x64'),
  },
  {
    platform: 'linux',
    arch: 'arm64',
    libc: 'glibc',
    holds: 'addon',
    package: '@gguf-stream/linux-arm64-gnu',
    target: 'aarch64-linux-gnu.2.17',
    resolve: () => require.resolve('@gguf-stream/linux-arm64-gnu'),
  },
  {
    platform: 'linux',
    arch: 'arm64',
    libc: null,
    holds: 'process',
    package: '@gguf-stream/linux-arm64',
    target: 'aarch64-linux-musl',
    resolve: () => require.resolve('@gguf-stream/linux-arm64'),
  },
];

/** The bundled model's package; in a checkout the file lies in models/. */
const model = {
  package: '@gguf-stream/all-minilm-l6-v2',
  version: '1.0.0',
  file: 'all-MiniLM-L6-v2.Q8_0.gguf',
  resolve: () => require.resolve('@gguf-stream/all-minilm-l6-v2'),
};

/** File names inside a package and in build/native, by what a row holds. */
const files = { addon: 'gguf_stream.node', process: 'gguf-stream-core' };

/** glibc or musl on Linux; null elsewhere. */
function libc() {
  if (process.platform !== 'linux') return null;
  const report = /** @type {{ getReport(): object, excludeNetwork?: boolean }} */ (process.report);
  const { excludeNetwork } = report;
  report.excludeNetwork = true; // else it may wait for name servers
  try {
    const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (report.getReport());
    return header.glibcVersionRuntime ? 'glibc' : 'musl';
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

module.exports = { platforms, model, files, libc };
