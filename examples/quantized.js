// How many of the ten nearest passages each output of small numbers finds, over the .md and .txt files below a folder.
//   node examples/quantized.js FOLDER

const fs = require('node:fs');
const path = require('node:path');
const { calibrate, loadEmbedder, quantize } = require('gguf-stream');

const most = 3200; // passages
const nearest = 10;

/** Different paragraphs of prose, every so many-th if there are more than enough. @param {string} folder */
function passagesOf(folder) {
  const files = fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((f) => /\.(md|txt)$/i.test(f) && fs.statSync(path.join(folder, f)).isFile());
  const paragraphs = files.sort().flatMap((f) => fs.readFileSync(path.join(folder, f), 'utf8').split(/\n\s*\n/));
  const prose = paragraphs.map((p) => p.replace(/\s+/g, ' ').trim()).filter((p) => p.length >= 80 && p.length <= 800 && /^[A-Z]/.test(p));
  const all = [...new Set(prose)];
  return all.filter((_, i) => i % Math.ceil(all.length / most) === 0);
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

/** Bits in which two differ. @param {Uint8Array} a @param {Uint8Array} b */
function hamming(a, b) {
  let bits = 0;
  for (let i = 0; i < a.length; i++) for (let x = a[i] ^ b[i]; x > 0; x &= x - 1) bits++;
  return bits;
}

/** @param {number} n @param {number} count @param {(i: number) => number} score @returns {number[]} the best of 0 … n−1 */
function best(n, count, score) {
  const scored = Array.from({ length: n }, (_, i) => ({ i, score: score(i) }));
  scored.sort((a, b) => b.score - a.score);
  return scored.slice(0, count).map((s) => s.i);
}

async function main() {
  const embedder = loadEmbedder({ precision: 'fast' });
  const vectors = await embedder.embedMany(passagesOf(process.argv[2] ?? path.join(__dirname, '..', 'docs')));
  await embedder.close();
  const queries = vectors.filter((_, i) => i % 16 === 0);
  const documents = vectors.filter((_, i) => i % 16 !== 0);
  const n = documents.length;
  const ranges = calibrate(documents.slice(0, 1000));
  const scaled = documents.map((v) => quantize(v, 'int8'));
  const ranged = documents.map((v) => quantize(v, 'int8', { ranges }));
  const bits = documents.map((v) => quantize(v, 'ubinary'));
  const value = ranged.map((codes) => Float32Array.from(codes, (c, j) => ((c + 128) * (ranges[codes.length + j] - ranges[j])) / 255 + ranges[j]));

  /** @param {Float32Array} q @param {number} count */
  const byBits = (q, count) => best(n, count, (i) => -hamming(quantize(q, 'ubinary'), bits[i]));
  /** @type {Record<string, (q: Float32Array) => number[]>} */
  const ways = {
    'int8, own scale: cosine of codes': (q) => best(n, nearest, (i) => cosine(quantize(q, 'int8'), scaled[i])),
    'int8, ranges: codes turned back, float query': (q) => best(n, nearest, (i) => dot(q, value[i])),
    'int8, ranges: cosine of codes': (q) => best(n, nearest, (i) => cosine(quantize(q, 'int8', { ranges }), ranged[i])),
    'binary: Hamming distance': (q) => byBits(q, nearest),
    'binary, the best 100 rescored by int8': (q) => {
      const candidates = byBits(q, 10 * nearest);
      return best(candidates.length, nearest, (i) => cosine(q, scaled[candidates[i]])).map((i) => candidates[i]);
    },
  };
  console.log(`${n} passages, ${queries.length} queries`);
  const truth = queries.map((q) => new Set(best(n, nearest, (i) => dot(q, documents[i]))));
  for (const [name, find] of Object.entries(ways)) {
    const found = queries.reduce((sum, q, k) => sum + find(q).filter((i) => truth[k].has(i)).length, 0);
    console.log(`${((100 * found) / (queries.length * Math.min(nearest, n))).toFixed(1).padStart(5)} %  ${name}`);
  }
}

main();
