// js/index.d.ts is the contract: the names of its options are those that js/options.js takes.

const fs = require('node:fs');
const path = require('node:path');
const options = require('../js/options');

const types = fs.readFileSync(path.join(__dirname, '..', 'js', 'index.d.ts'), 'utf8');

/** The members of an interface and of what it extends. @param {string} name @returns {string[]} */
function members(name) {
  const [, bases = '', body] = /** @type {RegExpExecArray} */ (
    new RegExp(`^export interface ${name}(?: extends ([^{]+))? \\{\\n([\\s\\S]*?)^\\}`, 'm').exec(types)
  );
  const own = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map((m) => m[1]);
  const base = /^(?:Omit<)?(\w+)/.exec(bases);
  return [...own, ...(base ? members(base[1]) : [])];
}

test.each([
  ['LoadOptions', options.loadOptions],
  ['CallOptions', options.callOptions],
  ['EmbedManyOptions', options.manyOptions],
  ['TokenizeOptions', options.tokenizeOptions],
])('%s', (name, table) => {
  expect([...new Set(members(name))].sort()).toEqual(Object.keys(table).sort());
});
