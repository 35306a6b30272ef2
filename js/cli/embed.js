const { embedderOf, modelOptions, print, texts } = require('./common');

/** @param {Float32Array} vector */
const shortest = (vector) => Array.from(vector, (x) => Number(x.toPrecision(9))).join(' ');

/** @type {import('./common').Command} */
module.exports = {
  usage: 'embed [TEXT ...]',
  summary: 'a vector a text',
  options: modelOptions,
  async run(v, args) {
    const e = embedderOf(v);
    /** @type {string[]} */
    const sent = [];
    async function* remembered() {
      for await (const t of texts(v, args)) {
        sent.push(t);
        yield t;
      }
    }
    for await (const vector of e.embedStream(remembered())) {
      const text = sent.shift();
      await print(v.json ? JSON.stringify({ text, embedding: Array.from(vector) }) : shortest(vector));
    }
    await e.close();
  },
};
