// `gguf-stream bench` on a tiny model: that it measures, saves, compares and draws, not how fast anything is.

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { svg, textBars } = require('../js/bench/chart');
const { workloads, textOf, randomOf, median } = require('../js/bench/measure');
const { start } = require('../js/bench/start');
const { loadEmbedder } = require('..');

const model = path.join(__dirname, 'models', 'bert-tiny-mean.Q8_0.gguf');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

const cli = path.join(__dirname, '..', 'js', 'cli.js');

/** @param {string[]} args @param {{ node?: string[], env?: object }} [how] node: its options */
function run(args, { node = [], env = {} } = {}) {
  return spawnSync(process.execPath, [...node, cli, 'bench', ...args], { encoding: 'utf8', env: { ...process.env, ...env } });
}

/** @param {string[]} args */
const bench = (...args) => run(['--seconds', '0.001', ...args]);

/** @param {string} name @param {string | Buffer} [content] */
function file(name, content) {
  const f = path.join(folder, name);
  if (content !== undefined) fs.writeFileSync(f, content);
  return f;
}

test('a report is saved, compared and drawn', () => {
  const [saved, drawn] = [file('report.json'), file('report.svg')];
  const first = bench(model, '--json', '--save', saved, '--svg', drawn);
  expect(first.stderr).toBe('');
  const report = JSON.parse(first.stdout);
  expect(report).toEqual(JSON.parse(fs.readFileSync(saved, 'utf8')));
  const { total, node, require: required, library, load, first: embed } = report.start;
  expect(Math.min(node, required, library, load, embed)).toBeGreaterThan(0);
  expect(total).toBeGreaterThan(load);
  expect(report.latency.map((l) => l.tokens)).toEqual([8, 16, 64, 128]); // the model takes no more
  for (const l of report.latency) expect(l.p50 > 0 && l.p50 <= l.p95 && l.calls >= 10 && l.cpuMs >= 0).toBe(true);
  expect(report.throughput.map((t) => [t.name, t.tokens])).toEqual([
    ['256 × 16', 256 * 16],
    ['256 × 128', 256 * 128],
  ]);
  expect(report.loopDelay.max).toBeGreaterThanOrEqual(report.loopDelay.p99);
  expect(report.loopDelay.p99).toBeGreaterThan(0);
  expect(report.memory.weights).toBeGreaterThan(0);
  const { peaks, shares } = report.peak;
  expect(report.peak.set).toBe(report.model.kernels);
  const counted = peaks.length > 0; // sets without loops say so
  expect(shares.map((s) => `${s.texts} × ${s.tokens}`)).toEqual(counted ? ['32 × 16', '32 × 128'] : []);
  for (const p of peaks) expect(p.gops).toBeGreaterThan(1);
  for (const s of shares) expect(s.share > 0 && s.share < 1 && s.tokensPerSec > 0).toBe(true);
  const svg = fs.readFileSync(drawn, 'utf8');
  expect(svg.match(/<rect /g)).toHaveLength(1 + 2 + 4 + shares.length);
  expect(svg).not.toMatch(/NaN|undefined/);

  const full = [...svg.matchAll(/width="([\d.]+)" height="18"/g)].slice(-shares.length || undefined).map((m) => Number(m[1]));
  if (counted) for (const [i, s] of shares.entries()) expect(full[i]).toBeCloseTo(420 * s.share, 0); // 420: a full bar

  report.throughput[0].tokensPerSecond /= 1e6;
  report.start.total *= 1e6;
  report.latency[0].p95 /= 1e6;
  report.memory.rssGrowth = -4e5;
  report.memory.weights *= 1.001;
  report.memory.vocab = 0;
  report.model.threads = 99;
  report.machine.cpu = 'an abacus\u001b[31m';
  fs.writeFileSync(saved, JSON.stringify(report));
  const second = bench(model, '--compare', saved);
  expect(second.stdout).toMatch(/start to first vector .* ms {2}-100 %/);
  expect(second.stdout).toMatch(/256 × 16 +[█▏▎▍▌▋▊▉]+.* tokens\/s {2}\+\d{6,} %/);
  expect(second.stdout).toMatch(/^ {2}8 tokens .* ms +\+\d{6,} %/m);
  expect(second.stdout).toMatch(/^compared with the run of .*: differs in machine .*\(was an abacus\\u001b\[31m.*; threads \d+ \(was 99\)$/m);
  expect(second.stdout).not.toMatch(/NaN|\+-|-0 %|Infinity/);
  expect(second.stdout).not.toContain('\u001b');
  expect(second.stdout).toMatch(/^ {2}rssGrowth [^%]*$/m); // it was below 0: no ratio
  expect(second.stdout).toMatch(/^latency of one text .* calls$/m);
  expect(second.stdout).toMatch(/^ {2}activations .* left after the last batch/m);
  for (const line of second.stdout.split('\n').filter((l) => l.includes('█'))) expect(line.length).toBeLessThanOrEqual(80);
}, 120000);

test('wrong usage ends with 2, before anything is measured', () => {
  const drawn = file('equal.svg');
  for (const [said, ...args] of [
    ['bench takes one model', 'a.gguf', 'b.gguf'],
    ...['0', '', 'abc', 'Infinity', '1e400', '1e-400', '3601'].map((s) => [`--seconds ${s}: `, '--seconds', s]),
    ['--seconds -1: ', '--seconds=-1'],
    ['ERR_ARGUMENT: threads must be', model, '--threads', '0'],
    ['ERR_ARGUMENT: threads must be', model, '--threads', 'abc'],
    ['ERR_ARGUMENT: threads must be', model, '--threads', '1.5'],
    ['ERR_ARGUMENT: precision must be', model, '--precision', 'foo'],
    ['--save and --svg|--svg and --save', model, '--save', drawn, '--svg', path.join(folder, '.', 'equal.svg')],
    ['--save .*bench-.*: E', model, '--save', folder],
    ['--svg .*: ENOENT', model, '--svg', path.join(folder, 'nosuch', 'a.svg')],
  ]) {
    const r = bench(...args);
    expect([args, r.status, r.stdout]).toEqual([args, 2, '']);
    expect(r.stderr).toMatch(new RegExp(`^gguf-stream: (${said})`));
    expect(r.stderr).not.toMatch(/^ {4}at /m);
  }
  expect(fs.existsSync(drawn)).toBe(false);
}, 60000);

test('a model that is not there ends with 1, a kernel set with 2', () => {
  const missing = bench('nosuch.gguf');
  expect([missing.status, missing.stdout]).toEqual([1, '']);
  expect(missing.stderr).toMatch(/^gguf-stream: ERR_FILE_OPEN: .*\n$/);
  const set = run([model], { env: { GGUF_STREAM_KERNELS: 'nosuch' } });
  expect([set.status, set.stdout]).toEqual([2, '']);
  expect(set.stderr).toMatch(/^gguf-stream: ERR_KERNEL_SET: /);
});

test('an error of a process whose start is measured is its GgufError', async () => {
  const error = { name: 'GgufError', code: 'ERR_FILE_OPEN', kind: 'io', message: expect.stringContaining('nosuch.gguf') };
  await expect(start({ model: 'nosuch.gguf' }, 1)).rejects.toMatchObject(error);
  await expect(start({ model, threads: 0 }, 1)).rejects.toMatchObject({ code: 'ERR_ARGUMENT', kind: 'argument', field: 'threads' });
});

const good = {
  version: '0',
  when: 'then',
  machine: { cpu: '', cores: 1, node: '', system: '' },
  model: { name: '', fileBytes: 1, precision: '', kernels: '', threads: 1 },
  start: { node: 1, require: 1, library: 1, load: 1, first: 1, total: 1 },
  latency: [{ tokens: 8, p50: 1, p95: 1, p99: null }],
  throughput: [{ name: '256 × 16', tokensPerSecond: 1 }],
  loopDelay: { p99: 0, max: 0 },
  peak: { shares: [{ texts: 32, tokens: 16, share: 0.5 }] },
  memory: { rssGrowth: -1 },
};

test.each([
  ['nothing', '', 'Unexpected end of JSON input'],
  ['a cut one', JSON.stringify(good).slice(0, 99), '(Unterminated|Expected|Unexpected)'],
  ['null', 'null', 'it must be an object'],
  ['an array', '[]', 'it must be an object'],
  ['an empty object behind a byte order mark', '\uFEFF{}', 'version must be a string'],
  ['no model', { ...good, model: undefined }, 'model must be an object'],
  ['no total', { ...good, start: { ...good.start, total: null } }, 'start\\.total must be a number'],
  ['a latency that is null', { ...good, latency: [null] }, 'latency\\[0\\] must be an object'],
  ['a throughput of text', { ...good, throughput: [{ name: 'mixed', tokensPerSecond: '1' }] }, 'throughput\\[0\\]\\.tokensPerSecond must be'],
  ['throughput that is no list', { ...good, throughput: {} }, 'throughput must be an array'],
  ['memory of text', { ...good, memory: { weights: 'much' } }, 'memory must be an object of numbers'],
])('--compare refuses %s, naming the file', (_, content, problem) => {
  const f = file('odd.json', typeof content === 'string' ? content : JSON.stringify(content));
  const r = bench(model, '--compare', f);
  expect([r.status, r.stdout]).toEqual([2, '']);
  expect(r.stderr).toContain(`gguf-stream: --compare ${f}: `);
  expect(r.stderr).toMatch(new RegExp(`odd\\.json: .*${problem}`));
});

test('where the core is a child process its RSS and CPU time are left out, and the children whose start is measured have the same permissions', () => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const node = [flag, '--allow-fs-read=*', '--allow-child-process'];
  const r = run([model, '--seconds', '0.001', '--json'], { node });
  expect(r.status).toBe(0);
  const report = JSON.parse(r.stdout);
  expect(report.core).toBe('process');
  expect(report.memory).not.toHaveProperty('rssGrowth');
  for (const l of report.latency) expect(l).not.toHaveProperty('cpuMs');
  for (const t of report.throughput) expect(t).not.toHaveProperty('cpuMsPerText');
  const noAddon = file('no-addon.js', `if (process.argv[1].endsWith('start.js') && process.permission?.has('addon') !== false) process.exit(7);`);
  expect(run([model, '--seconds', '0.001', '--json'], { node: ['--require', noAddon] }).stderr).toMatch(/start is measured ended with exit code 7/);
  expect(run([model, '--seconds', '0.001', '--json'], { node: [...node, '--require', noAddon] }).status).toBe(0);
}, 60000);

test("a model's name cannot speak to the terminal, and the drawing is XML", () => {
  const name = '\u001b[31m<&\u0007\u009bA\u0001BC';
  const bytes = fs.readFileSync(model);
  const at = bytes.indexOf('bert-tiny-mean');
  expect(Buffer.byteLength(name)).toBe('bert-tiny-mean'.length);
  bytes.write(name, at);
  const drawn = file('named.svg');
  const r = bench(file('named.gguf', bytes), '--svg', drawn);
  expect(r.stdout).toMatch(/^\\u001b\[31m<&\\u0007\\u009bA\\u0001BC, exact/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this asks that no control character of a hostile model's name is printed, so the pattern is of them
  const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;
  expect(r.stdout).not.toMatch(control);
  expect(fs.readFileSync(drawn, 'utf8')).not.toMatch(control);
  expect(fs.readFileSync(drawn, 'utf8')).toContain('\\u001b[31m&#60;&#38;\\u0007');
  expect(svg('\uFFFE\uD800\u2028\u202E', [])).toContain('\\ufffe\\ud800\\u2028\\u202e');
}, 60000);

test('the report has the threads that run and as many calls as it takes for a 99th percentile', () => {
  const short = JSON.parse(bench(model, '--json', '--threads', '1024').stdout);
  expect(short.model.threads).toBeGreaterThanOrEqual(1);
  expect(short.model.threads).toBeLessThanOrEqual(os.cpus().length);
  for (const l of short.latency) expect(l.p99 === null).toBe(l.calls < 100);
  expect(short.latency.at(-1).calls).toBeLessThan(100);
  expect(JSON.parse(run([model, '--json', '--threads', '1', '--seconds', '0.001']).stdout).model.threads).toBe(1);
}, 60000);

test('sections are shown as soon as they are measured', async () => {
  const child = spawn(process.execPath, [cli, 'bench', model, '--seconds', '5']);
  let text = '';
  child.stdout.on('data', (piece) => {
    text += piece;
    if (text.includes('start to first vector')) setTimeout(() => child.kill('SIGKILL'), 200); // a latency takes longer
  });
  await new Promise((resolve) => child.on('close', resolve));
  expect(text).toMatch(/start to first vector .*\n(.*\n)* {2}first /);
  expect(text).not.toContain('latency');
}, 60000);

test('bars fit the terminal, and a share is of the whole', () => {
  const bars = [
    { label: '256 × 16', value: 25 },
    { label: 'mixed', value: 50, note: '  +1234 %' },
  ];
  for (const columns of [10, 35, 60, 80, 500]) {
    const lengths = textBars({ unit: 'tokens/s', bars }, columns).map((l) => l.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(Math.max(columns, 38));
  }
  const full = (/** @type {number} */ most) => textBars({ unit: '%', bars, most }, 200).map((l) => l.split('█').length - 1);
  expect(full(100)).toEqual([10, 20]);
  expect(full(0)).toEqual([20, 40]);
});

test('workloads are the same everywhere and as long as they say', async () => {
  const embedder = loadEmbedder();
  for (const n of [3, 16, 512]) expect(await embedder.countTokens(textOf(n, randomOf(n)))).toBe(n);
  await embedder.close();
  const lengths = workloads.find((w) => w.name === 'mixed')?.lengths() ?? [];
  expect(lengths).toHaveLength(256);
  expect(Math.abs(median(lengths) - 40)).toBeLessThan(8);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(512);
  expect(lengths).toEqual(workloads.find((w) => w.name === 'mixed')?.lengths());
});
