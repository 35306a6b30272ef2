const { pullModel } = require('../hub/download');
const { parseReference } = require('../hub/reference');
const { unknownName } = require('../hub/unknown');
const { UsageError, common, print, showProgress } = require('./common');

/** @type {import('./common').Command} */
module.exports = {
  usage: 'pull NAME ...',
  summary: 'downloads hf:owner/repo[@revision][:file-or-quant], or looks for a newer one; prints its path',
  options: common,
  async run(v, args) {
    if (args.length === 0) throw new UsageError('pull takes the names of models');
    for (const name of args) {
      const reference = parseReference(name);
      if (!reference) throw unknownName(name);
      const path = await pullModel(reference, showProgress());
      await print(v.json ? JSON.stringify({ name, path }) : path);
    }
  },
};
