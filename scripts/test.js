#!/usr/bin/env node
// All tests in order of speed: builds the native files, then Go, then jest. Ends with `N passed, N failed`
// summed over all; the exit code is 0 only when nothing failed and every suite ran.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const total = { passed: 0, failed: 0 };

/** @param {string} command @param {string[]} args @param {object} [options] */
function run(command, args, options = {}) {
  return spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'], ...options });
}

/** Counts go test's JSON events; what failed is printed. @param {string[]} args */
function goTests(args) {
  console.log(`go test ${args.join(' ')}`);
  const r = run('go', ['test', '-json', ...args], { env: { ...process.env, CGO_ENABLED: '1' } });
  const output = new Map();
  let counted = 0;
  for (const line of (r.stdout ?? '').split('\n')) {
    if (!line.startsWith('{')) continue;
    const e = JSON.parse(line);
    const name = `${e.Package} ${e.Test ?? ''}`;
    if (e.Action === 'output') output.set(name, (output.get(name) ?? '') + e.Output);
    if (e.Action === 'skip' && e.Test) console.log(`skipped: ${name}\n${output.get(name) ?? ''}`);
    if (!e.Test || (e.Action !== 'pass' && e.Action !== 'fail')) continue;
    counted++;
    total[e.Action === 'pass' ? 'passed' : 'failed']++;
    if (e.Action === 'fail') console.log(output.get(name));
  }
  if (r.status !== 0 && total.failed === 0) {
    console.log(r.stdout);
    total.failed++; // a package that does not build
  }
  if (counted === 0) total.failed++;
}

function jestTests() {
  console.log('jest');
  const file = path.join(root, 'build', 'jest.json');
  const r = run(process.execPath, [require.resolve('jest/bin/jest'), '--json', `--outputFile=${file}`, '--runInBand'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const report = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { numPassedTests: 0, numFailedTests: 1 };
  for (const file of report.testResults ?? [])
    for (const t of file.assertionResults) if (t.status === 'pending') console.log(`skipped: ${path.relative(root, file.name)}: ${t.fullName}`);
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests + (report.numRuntimeErrorTestSuites ?? 0);
  if (r.status !== 0 && total.failed === 0) total.failed++;
}

function main() {
  const build = run(process.execPath, [path.join(__dirname, 'build.js')], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (build.status !== 0) process.exit(build.status ?? 1);
  goTests(['./...']);
  jestTests();
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

main();
