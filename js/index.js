// Nothing native is loaded here: require is free, the first use loads.

const { Embedder, loadEmbedder, kernels, similarity } = require('./embedder');
const { GgufFile, openGguf } = require('./gguf-file');
const { GgufError } = require('./errors');
const { MemoryGuard, MemoryMonitor, CrashPrevention, memoryReport } = require('./memory');
const { quantize, calibrate } = require('./vectors');
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
