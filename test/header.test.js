// What JavaScript restates of goloader/capi/gguf_stream.h.

const fs = require('node:fs');
const path = require('node:path');
const { Kind } = require('../js/kinds');
const { counterNames } = require('../js/process');

const header = fs.readFileSync(path.join(__dirname, '..', 'goloader', 'capi', 'gguf_stream.h'), 'utf8').replace(/\/\*.*?\*\//gs, ''); // without comments
const camelCase = (/** @type {string} */ name) => name.toLowerCase().replace(/_(.)/g, (_, c) => c.toUpperCase());

test('the job kinds: the same names and numbers, whatever numbers are free', () => {
  const { end, ...shared } = Object.fromEntries(Array.from(header.matchAll(/\bGS_JOB_(\w+)\s*=\s*(\d+)/g), (m) => [camelCase(m[1]), Number(m[2])]));
  expect(end).toBeGreaterThan(0); // the addon's own
  expect(Kind).toEqual(shared);
});

test('the counters, in their order', () => {
  const struct = /typedef struct gs_counters \{(.*?)\} gs_counters;/s.exec(header)?.[1] ?? '';
  expect(counterNames).toEqual(Array.from(struct.matchAll(/(\w+)(?=[,;])/g), (m) => camelCase(m[1])));
});
