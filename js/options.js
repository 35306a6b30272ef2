// All checks of arguments, as tables: name → check. They run before the first await of every call.

const { fileURLToPath } = require('node:url');
const { argumentError, GgufError } = require('./errors');
const { maxQueuedTexts } = require('./limits');
const { isFloat32Array, outputs } = require('./quantize');

/**
 * @typedef {{ expected: string, ok: (v: any) => boolean }} Check
 * @typedef {Record<string, Check>} Table
 */

/** @type {Check} */
const text = { expected: 'a string', ok: (v) => typeof v === 'string' };
/** @type {Check} */
const flag = { expected: 'true or false', ok: (v) => typeof v === 'boolean' };
/** @type {Check} */
const callback = { expected: 'a function', ok: (v) => typeof v === 'function' };
/** @type {Check} */
const signal = {
  expected: 'an AbortSignal',
  ok: (v) => typeof v?.aborted === 'boolean' && ['throwIfAborted', 'addEventListener', 'removeEventListener'].every((f) => typeof v[f] === 'function'),
};
/** Also of another realm's, and as a string. @param {any} v */
const isFileUrl = (v) => /^file:\/\//i.test(typeof v === 'string' || Object.prototype.toString.call(v) === '[object URL]' ? String(v) : '');
/** @param {number} lo @param {number} hi @returns {Check} */
const integer = (lo, hi) => ({ expected: `an integer from ${lo} to ${hi}`, ok: (v) => Number.isInteger(v) && v >= lo && v <= hi });
/** @param {...string} names @returns {Check} */
const oneOf = (...names) => ({ expected: names.map((n) => `'${n}'`).join(' or '), ok: (v) => names.includes(v) });

/** Options of a call that may also stand in loadEmbedder's as defaults. @type {Table} */
const shared = {
  task: text,
  prefix: text,
  dimensions: integer(1, 65536),
  normalize: flag,
  truncate: flag,
  parseSpecial: flag,
  maxTokens: integer(2, 1 << 20),
};

/** @type {Table} */
const loadOptions = {
  model: { expected: 'a string or a file: URL', ok: (v) => text.ok(v) || isFileUrl(v) },
  precision: oneOf('exact', 'fast'),
  threads: integer(1, 1024),
  device: oneOf('auto', 'cpu'),
  isolation: oneOf('auto', 'process'),
  memoryLimit: integer(1, Number.MAX_SAFE_INTEGER),
  pooling: oneOf('mean', 'cls', 'last'),
  maxTextBytes: integer(1, 1 << 30),
  maxQueuedTexts: integer(1, maxQueuedTexts),
  signal,
  onProgress: callback,
  ...shared,
};

const numbers = ['float32', ...Object.keys(outputs)];

/** @type {Table} */
const callOptions = {
  ...shared,
  output: oneOf(...numbers),
  ranges: { expected: 'a Float32Array of finite values', ok: (v) => isFloat32Array(v) && v.every(Number.isFinite) },
  bitOrder: oneOf('msb', 'lsb'),
  details: flag,
  signal,
};

/** @type {Table} */
const quantizeOptions = { ranges: callOptions.ranges, bitOrder: callOptions.bitOrder };

/** @type {Table} */
const manyOptions = { ...callOptions, output: oneOf(...numbers, 'vectors', 'matrix'), matrix: flag };

/** @type {Table} */
const fileOptions = { signal, memoryLimit: loadOptions.memoryLimit };

/** @type {Table} */
const planOptions = { precision: loadOptions.precision };

/** @type {Table} */
const tokenizeOptions = { parseSpecial: flag, task: text, prefix: text, maxTokens: shared.maxTokens, signal };

/** Edits from one name to another, for "did you mean". @param {string} a @param {string} b */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** @param {string} name @param {string[]} names */
function nearest(name, names) {
  return names.reduce((best, n) => (distance(name, n) < distance(name, best) ? n : best));
}

/** An object of options, of any realm: a Promise or a URL has none, and would be taken for the defaults. @param {unknown} v @returns {v is object} */
function isPlain(v) {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) return false;
  const prototype = Object.getPrototypeOf(v);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * A checked plain copy of options; undefined values count as absent.
 * @param {unknown} options
 * @param {Table} table
 * @param {string} what
 * @returns {Record<string, any>}
 */
function check(options, table, what) {
  if (options === undefined) return {};
  if (!isPlain(options)) throw argumentError(what, 'a plain object', options);
  /** @type {Record<string, any>} */
  const out = {};
  for (const name of Object.keys(options)) {
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (!rule) {
      const near = nearest(name, Object.keys(table));
      throw new GgufError({ code: 'ERR_ARGUMENT', kind: 'argument', field: name, message: `${what} has no option '${name}'; did you mean '${near}'?` });
    }
    const value = /** @type {any} */ (options)[name];
    if (value === undefined) continue;
    if (!rule.ok(value)) throw argumentError(name, rule.expected, value);
    out[name] = value;
  }
  return out;
}

/** The options that a table names. @param {Record<string, any>} options @param {Table} table */
function pick(options, table) {
  return Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(table, name)));
}

/** A string of so many bytes of UTF-8; a UTF-16 unit is one to three of them: only texts in between are measured. @param {unknown} v @param {number} maxBytes */
const isText = (v, maxBytes) => typeof v === 'string' && (v.length * 3 <= maxBytes || (v.length <= maxBytes && Buffer.byteLength(v) <= maxBytes));

/** @param {unknown} value @param {string} name @param {number} maxBytes */
function checkText(value, name, maxBytes) {
  if (isText(value, maxBytes)) return;
  throw argumentError(name, typeof value === 'string' ? `at most ${maxBytes} bytes of UTF-8 (maxTextBytes)` : 'a string', value);
}

/** @param {readonly unknown[]} list @param {number} maxBytes */
function checkTexts(list, maxBytes) {
  const wrong = list.findIndex((t) => !isText(t, maxBytes)); // not by checkText: a million names take a quarter of a second
  if (wrong >= 0) checkText(list[wrong], `texts[${wrong}]`, maxBytes);
}

/** The path of a file: URL, undefined where it has none: another host, a slash in a name. @param {URL | string} url */
function pathOfUrl(url) {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

/** A model's path or name. @param {unknown} model @param {string} name @returns {string} */
function checkModel(model, name) {
  const path = isFileUrl(model) ? pathOfUrl(/** @type {URL | string} */ (model)) : model;
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw argumentError(name, "the path of a .gguf file, or a model's name", model);
  return path;
}

module.exports = {
  loadOptions,
  callOptions,
  quantizeOptions,
  manyOptions,
  fileOptions,
  planOptions,
  tokenizeOptions,
  shared,
  check,
  nearest,
  pick,
  checkText,
  checkTexts,
  checkModel,
};
