const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const searches = fs.readdirSync(path.join(root, 'examples')).filter((f) => f.endsWith('.js') && !['folder.js', 'quantized.js'].includes(f));

/** @param {string} file @param {string[]} args */
function run(file, ...args) {
  const env = { ...process.env, NODE_PATH: path.join(__dirname, 'node_modules'), NODE_OPTIONS: '' };
  return execFileSync(process.execPath, [path.join('examples', file), ...args], { cwd: root, encoding: 'utf8', env });
}

test.each(searches)('examples/%s finds the passage', (file) => {
  const ask = (/** @type {string[]} */ ...args) => run(file, ...args);
  const brakes = ask().trim().split('\n');
  expect(brakes).toHaveLength(3);
  expect(brakes[0]).toMatch(/^0\.4\d\d {2}bicycle\.txt {2}Disc brakes squeal/);
  expect(ask('examples/texts', 'When', 'do', 'I', 'get', 'my', 'money', 'back?')).toMatch(
    /^0\.\d{3} {2}tenancy\.txt {2}The landlord has to return the deposit/,
  );
});

test('examples/quantized.js: int8 finds what float32 finds, bits nearly so', () => {
  const percent = [...run('quantized.js').matchAll(/^ *(\d+\.\d) %/gm)].map((m) => Number(m[1]));
  expect(percent).toHaveLength(5);
  expect(percent[0]).toBeGreaterThan(90);
  expect(percent[4]).toBeGreaterThan(90);
});
