// Before all tests: the models that are not in git. Half a second where they are there.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

module.exports = () => {
  execFileSync('go', ['run', './scripts/genmodels'], { cwd: path.join(__dirname, '..'), stdio: ['ignore', 'ignore', 'inherit'] });
};
