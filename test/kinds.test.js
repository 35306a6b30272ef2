// js/kinds.js is gs_job_kind of the C header: the same names and numbers, whatever numbers are free.

const fs = require('node:fs');
const path = require('node:path');
const { Kind } = require('../js/kinds');

test('the job kinds are those of gguf_stream.h', () => {
  const header = fs.readFileSync(path.join(__dirname, '..', 'goloader', 'capi', 'gguf_stream.h'), 'utf8');
  const camelCase = (/** @type {string} */ name) => name.toLowerCase().replace(/_(.)/g, (_, c) => c.toUpperCase());
  const { end, ...shared } = Object.fromEntries(Array.from(header.matchAll(/\bGS_JOB_(\w+)\s*=\s*(\d+)/g), (m) => [camelCase(m[1]), Number(m[2])]));
  expect(end).toBeGreaterThan(0); // the addon's own
  expect(Kind).toEqual(shared);
});
