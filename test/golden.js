// Reads the goldens of test/golden/embeddings (their meaning: manifest.json there).

const fs = require('node:fs');
const path = require('node:path');

const folder = path.join(__dirname, 'golden', 'embeddings');

/** @param {string} name */
function texts(name) {
  return fs
    .readFileSync(path.join(folder, name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).text);
}

/** @param {string} name @param {number} dimensions */
function vectors(name, dimensions) {
  const raw = fs.readFileSync(path.join(folder, name));
  const all = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  return Array.from({ length: all.length / dimensions }, (_, i) => all.slice(i * dimensions, (i + 1) * dimensions));
}

/** 1 − cosine as |a−b|²/2 over normalised rows: 1 − a·b would cancel. @param {Float32Array} a @param {Float32Array} b */
function oneMinusCos(a, b) {
  const norm = (v) => Math.sqrt(v.reduce((s, x) => s + x * x, 0));
  const na = norm(a);
  const nb = norm(b);
  let d = 0;
  for (let i = 0; i < a.length; i++) d += (a[i] / na - b[i] / nb) ** 2;
  return d / 2;
}

module.exports = { texts, vectors, oneMinusCos };
