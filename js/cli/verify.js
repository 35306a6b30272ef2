const { Kind } = require('../kinds');
const { call } = require('../native');
const { bundledModel } = require('../locate');
const { resolveModel } = require('../hub/resolve');
const { printable } = require('../printable');
const { common, print } = require('./common');

/** @typedef {{ name: string, status: string, detail: string[], code?: string, field?: string, offset?: number }} Check */

/** @param {{ path: string, verdict: string, checks: Check[] }} report */
async function printReport({ path: file, verdict, checks }) {
  await print(`${file}: ${verdict}`);
  for (const c of checks) {
    const place = [c.code, c.field && `field ${printable(c.field)}`, c.offset !== undefined && `offset ${c.offset}`].filter(Boolean).join(', ');
    await print(`  ${c.status.padEnd(8)} ${c.name.padEnd(13)} ${c.detail.map(printable).join('\n'.padEnd(26))}${place ? ` (${place})` : ''}`);
  }
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'verify [MODEL ...]',
  summary: 'whether a model is whole, and embeds as the original does; --strict: a warning fails, too',
  options: { ...common, strict: { type: 'boolean' } },
  async run(v, args) {
    let failed = false;
    for (const file of args.length > 0 ? args : [bundledModel()]) {
      const { reply } = await call(Kind.verify, { request: { path: await resolveModel(file, {}) } });
      failed ||= reply.verdict === 'bad' || (v.strict && reply.verdict !== 'good');
      await (v.json ? print(JSON.stringify(reply)) : printReport(reply));
    }
    return failed ? 1 : 0;
  },
};
