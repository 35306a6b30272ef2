const { cachedModels } = require('../hub/cache');
const { printable } = require('../printable');
const { common, megabytes, print } = require('./common');

/** @type {import('./common').Command} */
module.exports = {
  usage: 'list',
  summary: 'the .gguf files in the Hugging Face cache',
  options: common,
  async run(v) {
    const models = await cachedModels();
    if (v.json) return print(JSON.stringify(models));
    for (const m of models) await print(`${megabytes(m.bytes).padStart(10)}  ${printable(`hf:${m.repo}@${m.revisions[0] ?? m.commit}:${m.file}`)}`);
  },
};
