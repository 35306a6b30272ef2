const { cachedModels, removeModel } = require('../hub/cache');
const { matching, nameError, parseReference, partsOf } = require('../hub/reference');
const { unknownName } = require('../hub/unknown');
const { UsageError, common, megabytes, print } = require('./common');

/**
 * The cached files that a name means: the file or quant if it names one, else all of the repository; of the revision if it names one.
 * @param {string} name
 */
async function meant(name) {
  const reference = parseReference(name);
  if (!reference) throw unknownName(name);
  const ofRevision = (/** @type {import('../hub/cache').CachedModel} */ m) =>
    !/^[^:]*:[^:]*@/.test(name) || m.commit === reference.revision || m.revisions.includes(reference.revision);
  const models = (await cachedModels()).filter((m) => m.repo === reference.repo && ofRevision(m));
  if (!reference.file) return models;
  const paths = models.map((m) => m.file);
  const files = new Set(matching(paths, reference.file).flatMap(partsOf));
  return models.filter((m) => files.has(m.file));
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'rm NAME ...',
  summary: 'removes models from the Hugging Face cache',
  options: common,
  async run(v, args) {
    if (args.length === 0) throw new UsageError('rm takes the names of models');
    for (const name of args) {
      const models = await meant(name);
      if (models.length === 0) throw nameError(name, 'not in the cache (see gguf-stream list)');
      for (const m of models) {
        const freedBytes = await removeModel(m);
        await print(v.json ? JSON.stringify({ ...m, freedBytes }) : `removed ${m.path} (${megabytes(freedBytes)} freed)`);
      }
    }
  },
};
