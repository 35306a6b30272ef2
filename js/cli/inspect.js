const { openGguf } = require('../index');
const { printable } = require('../printable');
const { UsageError, common, megabytes, print } = require('./common');

/** @import { MetadataValue } from '../index.js' */

/** A value for people: one short line. @param {MetadataValue} value */
function shown(value) {
  if (typeof value === 'object') return `${value.elementType}[${value.length}]`;
  const s = printable(typeof value === 'string' ? JSON.stringify(value) : String(value));
  return s.length > 100 ? `${s.slice(0, 97)}...` : s;
}

/** A value for JSON: of an array its type and length; numbers that JSON or its readers would change are strings. @param {MetadataValue} value */
function forJson(value) {
  if (typeof value === 'object') return { elementType: value.elementType, length: value.length };
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

/** @param {any} info @param {[string, MetadataValue][]} metadata @param {Record<string, { tensors: number, bytes: number }>} types @param {any} plan */
async function printInspection(info, metadata, types, plan) {
  await print(`GGUF v${info.version}, ${megabytes(info.fileBytes)}, ${info.tensors} tensors, ${info.pairs} metadata pairs\n`);
  for (const [key, value] of metadata) await print(`${printable(key).padEnd(44)} ${shown(value)}`);
  await print('\ntensors by type');
  for (const [type, t] of Object.entries(types)) await print(`  ${type.padEnd(10)} ${String(t.tensors).padStart(5)}  ${megabytes(t.bytes)}`);
  await print('\nmemory plan');
  if (plan.error) await print(`  not loadable: ${plan.error}`);
  else for (const name of ['weights', 'vocab', 'staging', 'total', 'available']) await print(`  ${name.padEnd(10)} ${megabytes(plan[name])}`);
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'inspect MODEL.gguf',
  summary: 'metadata, tensors by type, memory plan',
  options: common,
  async run(v, args) {
    if (args.length !== 1) throw new UsageError('inspect takes one file');
    const file = await openGguf(args[0]);
    /** @type {[string, MetadataValue][]} */
    const metadata = [];
    for await (const pair of file) metadata.push(pair);
    const tensors = await file.tensors();
    /** @type {Record<string, { tensors: number, bytes: number }>} */
    const types = {};
    for (const t of tensors) {
      types[t.type] ??= { tensors: 0, bytes: 0 };
      types[t.type].tensors++;
      types[t.type].bytes += t.bytes;
    }
    const plan = await file.plan().catch((e) => ({ error: e.message }));
    if (v.json) {
      const values = Object.fromEntries(metadata.map(([key, value]) => [key, forJson(value)]));
      await print(JSON.stringify({ info: file.info, metadata: values, types, tensors, plan }));
    } else await printInspection(file.info, metadata, types, plan);
    await file.close();
  },
};
