const { UsageError, embedderOf, modelOptions, print, records, truncation } = require('./common');

/** @type {import('./common').Command} */
module.exports = {
  usage: 'similarity TEXT TEXT ...',
  summary: 'the cosine of each pair',
  options: { ...modelOptions, ...truncation },
  async run(v, args) {
    const e = embedderOf(v);
    /** @type {string[]} */
    const list = [];
    for await (const { text } of records(v, args)) list.push(text);
    if (list.length < 2) throw new UsageError('similarity takes two texts or more');
    const vectors = await e.embedMany(list);
    const pairs = [];
    for (let i = 0; i < list.length; i++)
      for (let j = i + 1; j < list.length; j++) pairs.push({ a: list[i], b: list[j], similarity: e.similarity(vectors[i], vectors[j]) });
    pairs.sort((x, y) => y.similarity - x.similarity);
    if (v.json) await print(JSON.stringify(pairs));
    else for (const p of pairs) await print(`${p.similarity.toFixed(4)}  ${p.a}  |  ${p.b}`);
    await e.close();
  },
};
