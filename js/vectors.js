// Vectors at hand as small numbers, with the checks that calls have of their options.

const { argumentError } = require('./errors');
const options = require('./options');
const { checkSettings, isFloat32Array, outputs, quantizeRows } = require('./quantize');

/**
 * @import { VectorOutput } from './index.js'
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

module.exports = { quantize, calibrate };
