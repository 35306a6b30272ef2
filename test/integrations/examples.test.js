const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const examples = fs.readdirSync(path.join(root, 'examples')).filter((f) => f.endsWith('.js') && f !== 'folder.js');

test.each(examples)('examples/%s finds the passage', (file) => {
  const env = { ...process.env, NODE_PATH: path.join(__dirname, 'node_modules'), NODE_OPTIONS: '' };
  const ask = (...args) => execFileSync(process.execPath, [path.join('examples', file), ...args], { cwd: root, encoding: 'utf8', env });
  const brakes = ask().trim().split('\n');
  expect(brakes).toHaveLength(3);
  expect(brakes[0]).toMatch(/^0\.4\d\d {2}bicycle\.txt {2}Disc brakes squeal/);
  expect(ask('examples/texts', 'When', 'do', 'I', 'get', 'my', 'money', 'back?')).toMatch(
    /^0\.\d{3} {2}tenancy\.txt {2}The landlord has to return the deposit/,
  );
});
