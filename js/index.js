// Nothing native is loaded here: require is free, the first use loads.

const { Embedder, loadEmbedder } = require('./embedder');
const { GgufFile, openGguf } = require('./gguf-file');
const { GgufError } = require('./errors');
const { CrashPrevention } = require('./heap');
const { MemoryGuard, MemoryMonitor, memoryReport } = require('./memory');
const { kernels } = require('./native');
const { quantize, calibrate, similarity } = require('./vectors');
const { version } = require('../package.json');

module.exports = {
  loadEmbedder,
  openGguf,
  Embedder,
  GgufFile,
  GgufError,
  MemoryGuard,
  MemoryMonitor,
  CrashPrevention,
  memoryReport,
  kernels,
  similarity,
  quantize,
  calibrate,
  version,
};
