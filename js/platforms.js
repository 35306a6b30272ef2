// The table of platforms: which packages hold the native files, by process.platform, arch and libc, best first.
// scripts/packages.js builds the packages from it; js/locate.js finds them. The names stand as literals in
// resolve(), since bundlers and file tracers follow nothing else.

/**
 * @typedef {object} Platform
 * @property {string} platform
 * @property {string} arch
 * @property {'glibc' | 'musl' | null} libc null: the system has one
 * @property {ReadonlyArray<'addon' | 'process'>} holds the addon with the core's library, the core as an executable that needs the library, or with musl nothing
 * @property {string} package
 * @property {string} target zig's name of the platform, with the oldest glibc or macOS
 * @property {() => string} resolve
 */

/** @type {ReadonlyArray<Platform>} */
const platforms = [
  {
    platform: 'linux',
    arch: 'x64',
    libc: 'glibc',
    holds: ['addon', 'process'],
    package: '@gguf-stream/linux-x64-gnu',
    target: 'x86_64-linux-gnu.2.17',
    resolve: () => require.resolve('@gguf-stream/linux-x64-gnu'),
  },
  {
    platform: 'linux',
    arch: 'x64',
    libc: 'musl',
    holds: ['process'],
    package: '@gguf-stream/linux-x64-musl',
    target: 'x86_64-linux-musl',
    resolve: () => require.resolve('@gguf-stream/linux-x64-musl'),
  },
  {
    platform: 'linux',
    arch: 'arm64',
    libc: 'glibc',
    holds: ['addon', 'process'],
    package: '@gguf-stream/linux-arm64-gnu',
    target: 'aarch64-linux-gnu.2.17',
    resolve: () => require.resolve('@gguf-stream/linux-arm64-gnu'),
  },
  {
    platform: 'linux',
    arch: 'arm64',
    libc: 'musl',
    holds: ['process'],
    package: '@gguf-stream/linux-arm64-musl',
    target: 'aarch64-linux-musl',
    resolve: () => require.resolve('@gguf-stream/linux-arm64-musl'),
  },
  {
    platform: 'darwin',
    arch: 'x64',
    libc: null,
    holds: ['addon', 'process'],
    package: '@gguf-stream/darwin-x64',
    target: 'x86_64-macos.12.0',
    resolve: () => require.resolve('@gguf-stream/darwin-x64'),
  },
  {
    platform: 'darwin',
    arch: 'arm64',
    libc: null,
    holds: ['addon', 'process'],
    package: '@gguf-stream/darwin-arm64',
    target: 'aarch64-macos.12.0',
    resolve: () => require.resolve('@gguf-stream/darwin-arm64'),
  },
  {
    platform: 'win32',
    arch: 'x64',
    libc: null,
    holds: ['addon', 'process'],
    package: '@gguf-stream/win32-x64',
    target: 'x86_64-windows-gnu',
    resolve: () => require.resolve('@gguf-stream/win32-x64'),
  },
];

/** The bundled model's package; in a checkout the file lies in models/. */
const model = {
  package: '@gguf-stream/all-minilm-l6-v2',
  version: '1.0.0',
  file: 'all-MiniLM-L6-v2.Q8_0.gguf',
  resolve: () => require.resolve('@gguf-stream/all-minilm-l6-v2'),
};

/**
 * The names of the native files, in a package and in build/native: the addon, the core's library beside it, the core as an
 * executable. By process.platform.
 */
const names = {
  linux: { addon: 'gguf_stream.node', library: 'libgguf_stream.so', process: 'gguf-stream-core' },
  darwin: { addon: 'gguf_stream.node', library: 'libgguf_stream.dylib', process: 'gguf-stream-core' },
  win32: { addon: 'gguf_stream.node', library: 'gguf_stream.dll', process: 'gguf-stream-core.exe' },
};

/** A platform without packages has none of them. @param {string} platform */
const filesOf = (platform) => names[/** @type {keyof typeof names} */ (platform)] ?? names.linux;

/** What Node's diagnostic report says of the process, without the wait for name servers that a report may be. */
function reportHeader() {
  const report = /** @type {{ getReport(): object, excludeNetwork?: boolean }} */ (process.report);
  const { excludeNetwork } = report;
  report.excludeNetwork = true;
  try {
    return /** @type {{ header: { glibcVersionRuntime?: string } }} */ (report.getReport()).header;
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

/** glibc or musl on Linux; null elsewhere. */
function libc() {
  if (process.platform !== 'linux') return null;
  return reportHeader().glibcVersionRuntime ? 'glibc' : 'musl';
}

module.exports = { platforms, model, filesOf, libc, reportHeader };
