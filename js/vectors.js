// Vectors at hand: as small numbers, with the checks that calls have of their options, and their cosine.

const { argumentError } = require('./errors');
const options = require('./options');
const { checkSettings, isFloat32Array, outputs, quantizeRows } = require('./quantize');

/**
 * @import { CosineVector, VectorOutput } from './index.js'
 * @import { Settings } from './quantize'
 */

/** @param {Float32Array} v */
const allFinite = (v) => v.every(Number.isFinite);

/**
 * One vector that is at hand as float32.
 * @param {Float32Array} vector
 * @param {VectorOutput} output
 * @param {Settings} [given]
 */
function quantize(vector, output, given) {
  if (!isFloat32Array(vector)) throw argumentError('vector', 'a Float32Array', vector);
  const known = options.callOptions.output;
  if (!known.ok(output)) throw argumentError('output', known.expected, output);
  if (output !== 'float32' && outputs[output].finite && !allFinite(vector))
    throw argumentError('vector', `a Float32Array of finite values for output '${output}'`, vector);
  const settings = options.check(given, options.quantizeOptions, 'settings');
  checkSettings(output, settings);
  return quantizeRows(vector, 1, output, settings).vectors;
}

/**
 * Each dimension's least and greatest value over the vectors: minima, then maxima.
 * @param {Iterable<Float32Array>} vectors
 */
function calibrate(vectors) {
  /** @type {Float32Array | undefined} */
  let ranges;
  let n = 0;
  if (typeof vectors?.[Symbol.iterator] !== 'function') throw argumentError('vectors', 'an iterable of Float32Arrays', vectors);
  for (const v of vectors) {
    if (!isFloat32Array(v) || !allFinite(v) || (ranges && v.length !== n)) throw argumentError('vectors', 'Float32Arrays of one length, of finite values', v);
    if (!ranges) {
      n = v.length;
      ranges = new Float32Array(2 * n).fill(Number.POSITIVE_INFINITY, 0, n).fill(Number.NEGATIVE_INFINITY, n);
    }
    for (let i = 0; i < n; i++) {
      ranges[i] = Math.min(ranges[i], v[i]);
      ranges[n + i] = Math.max(ranges[n + i], v[i]);
    }
  }
  if (!ranges) throw argumentError('vectors', 'at least one vector', vectors);
  return ranges;
}

const cosineVector = 'a Float32Array, Float64Array or Int8Array';

/** Codes with a zero elsewhere, and bits, have no meaningful cosine. @param {unknown} v @returns {v is CosineVector} */
const isCosineVector = (v) => /^\[object (Float32|Float64|Int8)Array\]$/.test(Object.prototype.toString.call(v));

/**
 * The cosine of two vectors of one length.
 * @param {CosineVector} a
 * @param {CosineVector} b
 */
function similarity(a, b) {
  if (!isCosineVector(a)) throw argumentError('a', cosineVector, a);
  if (!isCosineVector(b) || a.length !== b.length) throw argumentError('b', `${cosineVector} of ${a.length} values`, b);
  const plain = cosine(a, b, 1, 1);
  return plain ?? cosine(a, b, greatest(a) || 1, greatest(b) || 1) ?? 0;
}

/** Beyond it the product of two squares loses digits, or is 0 or infinite. */
const square = { least: 1e-140, most: 1e150 };

/** Undefined where the squares are out of range: of a vector of zeros, too. @param {CosineVector} a @param {CosineVector} b @param {number} scaleA @param {number} scaleB */
function cosine(a, b, scaleA, scaleB) {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] / scaleA;
    const y = b[i] / scaleB;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (Math.min(aa, bb) < square.least || Math.max(aa, bb) > square.most) return undefined;
  return dot / Math.sqrt(aa * bb); // of a vector with itself exactly 1
}

/** @param {CosineVector} v */
function greatest(v) {
  let most = 0;
  for (const x of v) most = Math.max(most, Math.abs(x));
  return most;
}

module.exports = { quantize, calibrate, similarity };
