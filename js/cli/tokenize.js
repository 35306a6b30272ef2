const { embedderOf, embedderOptions, joined, modelOptions, print, records } = require('./common');

/** @type {import('./common').Command} */
module.exports = {
  usage: 'tokenize [TEXT ...]',
  summary: 'token ids',
  options: modelOptions,
  async run(v, args) {
    const e = embedderOf(v);
    const { maxTokens } = embedderOptions(v); // of loadEmbedder it cuts what is embedded only
    for await (const record of records(v, args)) {
      const ids = Array.from(await e.tokenize(record.text, { maxTokens }));
      await print(v.json ? joined(record, { ids }) : ids.join(' '));
    }
    await e.close();
  },
};
