const { embedderOf, modelOptions, print, texts } = require('./common');

/** @type {import('./common').Command} */
module.exports = {
  usage: 'tokenize [TEXT ...]',
  summary: 'token ids',
  options: modelOptions,
  async run(v, args) {
    const e = embedderOf(v);
    for await (const text of texts(v, args)) {
      const ids = Array.from(await e.tokenize(text));
      await print(v.json ? JSON.stringify({ text, ids }) : ids.join(' '));
    }
    await e.close();
  },
};
