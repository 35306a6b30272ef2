const fs = require('node:fs');
const { UsageError, embedderOf, modelOptions, print, texts } = require('./common');

/** @param {Iterable<number>} vector */
const shortest = (vector) => Array.from(vector, (x) => Number(x.toPrecision(9))).join(' ');

/** The calibration of int8 and uint8: a JSON file of two arrays, minima and maxima. @param {string} file */
function rangesOf(file) {
  const rows = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!Array.isArray(rows) || rows.length !== 2 || !rows.every(Array.isArray)) throw new UsageError('--ranges takes a JSON file of two arrays');
  return new Float32Array([...rows[0], ...rows[1]]);
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'embed [TEXT ...]',
  summary: 'a vector a text',
  options: { ...modelOptions, output: { type: 'string' }, 'bit-order': { type: 'string' }, ranges: { type: 'string' } },
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
    const settings = { output: v.output, bitOrder: v['bit-order'], ranges: v.ranges && rangesOf(v.ranges) };
    for await (const vector of e.embedStream(remembered(), settings)) {
      const text = sent.shift();
      await print(v.json ? JSON.stringify({ text, embedding: Array.from(vector) }) : shortest(vector));
    }
    await e.close();
  },
};
