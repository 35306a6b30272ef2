/** gs_job_kind in goloader/capi/gguf_stream.h, less GS_JOB_END, which only the addon submits. */
const Kind = Object.freeze({
  open: 1,
  embed: 2,
  tokenize: 3,
  close: 4,
  fileOpen: 5,
  fileMetadata: 6,
  fileTensors: 7,
  filePlan: 8,
  fileChunk: 9,
  fileLoad: 10,
  fileClose: 11,
  output: 13,
  look: 14,
  verify: 16,
  diagnose: 17,
  peak: 18,
});

module.exports = { Kind };
