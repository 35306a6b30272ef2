const fs = require('node:fs');
const { UsageError, embedderOf, joined, modelOptions, print, records, truncation, withoutMark } = require('./common');

/** @param {Iterable<number>} vector */
const shortest = (vector) => Array.from(vector, (x) => Number(x.toPrecision(9))).join(' ');

/** @param {import('./common').TextRecord} record @param {{ vector: Iterable<number>, scale?: number }} made */
const jsonOf = (record, { vector, scale }) => joined(record, { embedding: Array.from(vector), ...(scale !== undefined && { scale }) });

/** The calibration of int8 and uint8: a JSON file of two arrays, minima and maxima. @param {string} file */
function rangesOf(file) {
  let rows;
  try {
    rows = JSON.parse(withoutMark(fs.readFileSync(file, 'utf8')));
  } catch (e) {
    throw new UsageError(`--ranges ${file}: ${/** @type {Error} */ (e).message}`);
  }
  const isRow = (/** @type {unknown} */ row) => Array.isArray(row) && row.length === rows[0].length && row.every(Number.isFinite);
  if (!Array.isArray(rows) || rows.length !== 2 || !rows.every(isRow))
    throw new UsageError(`--ranges ${file}: must be JSON of two arrays of numbers, as long as each other`);
  return new Float32Array([...rows[0], ...rows[1]]);
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'embed [TEXT ...]',
  summary: 'a vector a text',
  options: { ...modelOptions, ...truncation, output: { type: 'string' }, 'bit-order': { type: 'string' }, ranges: { type: 'string' } },
  async run(v, args) {
    const e = embedderOf(v);
    /** @type {import('./common').TextRecord[]} */
    const sent = [];
    async function* remembered() {
      for await (const record of records(v, args)) {
        sent.push(record);
        yield record.text;
      }
    }
    const settings = { output: v.output, bitOrder: v['bit-order'], ranges: v.ranges && rangesOf(v.ranges), details: /** @type {true} */ (true) };
    for await (const made of e.embedStream(remembered(), settings)) {
      const record = /** @type {import('./common').TextRecord} */ (sent.shift());
      await print(v.json ? jsonOf(record, made) : shortest(made.vector));
    }
    await e.close();
  },
};
