// Vectors as small numbers, as quantize_embeddings of sentence-transformers 6.2 defines them. One row an output.

const { argumentError } = require('./errors');

/**
 * @import { VectorOutput } from './index.js'
 * @typedef {{ ranges?: Float32Array, bitOrder?: 'msb' | 'lsb' }} Settings
 * @typedef {Float32Array | Int8Array | Uint8Array} Numbers
 * @typedef {{ array: { new (length: number): Numbers, new (buffer: ArrayBuffer): Numbers }, length: (dimensions: number) => number,
 *   finite: boolean, row: (x: Float32Array, out: Numbers, settings: Settings) => number | void }} Output row's result is the row's
 *   scale; finite: there is no code for what is no number (a bit has one: it is not positive)
 */

/** Also of another realm's. @param {unknown} v */
const isFloat32Array = (v) => Object.prototype.toString.call(v) === '[object Float32Array]';

/** Rounded to the nearest code; the scale is the vector's own. @param {Float32Array} x @param {Numbers} out */
function scaled(x, out) {
  const max = x.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  for (let i = 0; i < x.length; i++) out[i] = max === 0 ? 0 : Math.round((x[i] * 127) / max);
  return max / 127;
}

/** A step is 1/255 of the dimension's range, in float32 as numpy does it. @param {number} zero @returns {Output['row']} */
const inRanges = (zero) => (x, out, settings) => {
  const ranges = /** @type {Float32Array} */ (settings.ranges);
  const n = x.length;
  if (ranges.length !== 2 * n) throw argumentError('ranges', `a Float32Array of 2 × ${n} values, minima and then maxima`, ranges);
  for (let i = 0; i < n; i++) {
    const step = Math.fround(Math.fround(ranges[n + i] - ranges[i]) / 255) || 1;
    const q = Math.floor(Math.fround(Math.fround(x[i] - ranges[i]) / step));
    out[i] = Math.min(255, Math.max(0, q)) - zero;
  }
};

/** A bit a dimension, 1 where positive. @param {number} flip @returns {Output['row']} */
const bits = (flip) => (x, out, settings) => {
  const first = settings.bitOrder === 'lsb' ? 0 : 7;
  for (let b = 0; b < out.length; b++) {
    let byte = 0;
    for (let i = 0; i < 8; i++) if (x[b * 8 + i] > 0) byte |= 1 << Math.abs(first - i);
    out[b] = byte ^ flip;
  }
};

/** @param {number} n */
const eighth = (n) => Math.ceil(n / 8);
/** @param {number} n */
const same = (n) => n;

/** @type {Record<Exclude<VectorOutput, 'float32'>, Output>} */
const outputs = {
  int8: { array: Int8Array, length: same, finite: true, row: (x, out, s) => (s.ranges ? inRanges(128)(x, out, s) : scaled(x, out)) },
  uint8: { array: Uint8Array, length: same, finite: true, row: inRanges(0) },
  binary: { array: Int8Array, length: eighth, finite: false, row: bits(128) },
  ubinary: { array: Uint8Array, length: eighth, finite: false, row: bits(0) },
};

/** uint8 has no meaning without ranges: its zero point is theirs. @param {string | undefined} output @param {Settings} settings */
function checkSettings(output, settings) {
  if (output === 'uint8' && !settings.ranges) throw argumentError('ranges', "given with output 'uint8' (see calibrate)", undefined);
}

/**
 * Rows of float32 as rows of the output.
 * @param {Float32Array} vectors
 * @param {number} count
 * @param {string | undefined} output
 * @param {Settings} settings
 * @returns {{ vectors: Numbers, scales?: number[] }}
 */
function quantizeRows(vectors, count, output, settings) {
  const kind = output && Object.hasOwn(outputs, output) ? outputs[/** @type {keyof typeof outputs} */ (output)] : undefined;
  if (!kind) return { vectors };
  const n = vectors.length / count;
  const width = kind.length(n);
  const out = new kind.array(width * count);
  /** @type {number[]} */
  const scales = [];
  for (let i = 0; i < count; i++) {
    const scale = kind.row(vectors.subarray(i * n, (i + 1) * n), out.subarray(i * width, (i + 1) * width), settings);
    if (scale !== undefined) scales.push(scale);
  }
  return scales.length > 0 ? { vectors: out, scales } : { vectors: out };
}

module.exports = { outputs, isFloat32Array, checkSettings, quantizeRows };
