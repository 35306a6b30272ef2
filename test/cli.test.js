const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const cli = path.join(__dirname, '..', 'js', 'cli.js');

/** @param {string[]} args @param {string} [input] @param {object} [env] */
function run(args, input = '', env = {}) {
  const r = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', input, env: { ...process.env, ...env } });
  return { status: r.status, out: r.stdout, err: r.stderr };
}

test('embed: arguments, standard input, JSON lines', () => {
  const one = run(['embed', '--json', 'a text']);
  expect(one.status).toBe(0);
  expect(JSON.parse(one.out)).toMatchObject({ text: 'a text' });
  expect(JSON.parse(one.out).embedding).toHaveLength(384);
  const lines = run(['embed', '--json'], 'first\nsecond\n')
    .out.trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  expect(lines.map((l) => l.text)).toEqual(['first', 'second']);
  const jsonl = run(['embed', '--jsonl', '--json'], '{"text":"a\\nb"}\n"c"\n')
    .out.trim()
    .split('\n')
    .map((l) => JSON.parse(l).text);
  expect(jsonl).toEqual(['a\nb', 'c']);
});

const tiny = path.join(__dirname, 'models', 'bert-tiny-mean.gguf');

/** @param {string} out */
const objects = (out) =>
  out
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));

test('--jsonl --json: a line is its record and what was computed; int8 by its own scale has the scale', () => {
  const input = '{"id":7,"text":"a","tags":["x"]}\n\n"b"\n';
  const embedded = objects(run(['embed', '-m', tiny, '--jsonl', '--json'], input).out);
  expect(embedded).toEqual([
    { id: 7, text: 'a', tags: ['x'], embedding: expect.any(Array) },
    { text: 'b', embedding: expect.any(Array) },
  ]);
  const tokenized = objects(run(['tokenize', '-m', tiny, '--jsonl', '--json'], input).out);
  expect(tokenized[0]).toEqual({ id: 7, text: 'a', tags: ['x'], ids: expect.any(Array) });
  const [scaled] = objects(run(['embed', '-m', tiny, '--jsonl', '--json', '--output', 'int8'], input).out);
  expect(Object.keys(scaled)).toEqual(['id', 'text', 'tags', 'embedding', 'scale']);
  expect(Math.abs(scaled.embedding[5] * scaled.scale - embedded[0].embedding[5])).toBeLessThanOrEqual(scaled.scale / 2 + 1e-7);
  expect(run(['embed', '-m', tiny, '--jsonl', '--output', 'int8'], input).out.split('\n')[0].split(' ')).toHaveLength(64);
});

test('--jsonl --json: what JavaScript would change comes out as it was read; an earlier result is replaced', () => {
  const fields = '"id":12345678901234567890,"x":1e400,"n":[0.10,-0], "text":"a"';
  for (const [command, made] of [
    ['embed', 'embedding'],
    ['tokenize', 'ids'],
  ]) {
    const [first, second] = run([command, '-m', tiny, '--jsonl', '--json'], ` {${fields}} \n{"${made}":7,"text":"a"}\n`).out.split('\n');
    expect(first.slice(0, -1).split(`,"${made}":`)).toEqual([`{${fields}`, JSON.stringify(JSON.parse(first)[made])]);
    expect(Object.keys(JSON.parse(second))).toEqual([made, 'text']);
    expect(JSON.parse(second)[made]).toEqual(JSON.parse(first)[made]);
  }
});

test('a bad line of --jsonl is told by its number', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lines-'));
  const file = path.join(folder, 'texts.jsonl');
  fs.writeFileSync(file, '"a"\n\n{"text":1}\n');
  for (const command of ['embed', 'similarity', 'tokenize']) {
    const r = run([command, '-m', tiny, '--jsonl', '--file', file]);
    expect(r).toMatchObject({ status: 2, err: expect.stringContaining(`${file}, line 3: `) });
  }
  for (const bad of ['{"text":', 'null', '["a"]', '{"id":7}']) {
    const r = run(['embed', '-m', tiny, '--jsonl'], `"a"\n${bad}\n`);
    expect(r).toMatchObject({ status: 2, err: expect.stringContaining('standard input, line 2: ') });
  }
  fs.rmSync(folder, { recursive: true });
});

test("a line's end is a line feed: U+2028 and U+2029 are characters of a text", () => {
  const texts = ['one\u2028two', 'three\u2029four', 'fünf 😀', ''];
  const given = (/** @type {string} */ out) => objects(out).map((r) => r.text);
  expect(given(run(['tokenize', '-m', tiny, '--json'], `${texts.join('\r\n')}\n`).out)).toEqual(texts);
  const lines = texts.map((text) => JSON.stringify({ text })).join('\n');
  expect(given(run(['tokenize', '-m', tiny, '--jsonl', '--json'], lines).out)).toEqual(texts);
});

test('the help lists every command and option', () => {
  const help = run(['--help']).out;
  const folder = path.join(__dirname, '..', 'js', 'cli');
  for (const file of fs.readdirSync(folder)) {
    const { usage, options = {} } = require(path.join(folder, file));
    if (usage) for (const said of [usage, ...Object.keys(options).map((name) => `--${name}`)]) expect(help).toContain(said);
  }
});

test('--max-tokens and --no-truncate', () => {
  const long = 'a text of several tokens';
  const json = (/** @type {string[]} */ ...args) => JSON.parse(run([...args, '--json']).out);
  const whole = json('tokenize', '-m', tiny, long).ids;
  const cut = json('tokenize', '-m', tiny, '--max-tokens', '4', long).ids;
  expect([cut.length, cut.slice(0, 3)]).toEqual([4, whole.slice(0, 3)]);
  const embedding = json('embed', '-m', tiny, '--max-tokens', '4', long).embedding;
  expect(embedding).not.toEqual(json('embed', '-m', tiny, long).embedding);
  const [{ similarity }] = json('similarity', '-m', tiny, '--max-tokens', '3', 'a b', 'a c');
  expect(similarity).toBeCloseTo(1, 6);
  for (const command of ['embed', 'similarity']) {
    const r = run([command, '-m', tiny, '--max-tokens', '4', '--no-truncate', long, long]);
    expect(r).toMatchObject({ status: 2, err: expect.stringContaining('ERR_TOO_LONG') });
  }
  expect(run(['embed', '-m', tiny, '--max-tokens', 'many', long])).toMatchObject({ status: 2, err: expect.stringContaining('maxTokens') });
});

test('tokenize, similarity, inspect', () => {
  expect(run(['tokenize', 'hello']).out).toBe('101 7592 102\n');
  const pairs = JSON.parse(run(['similarity', '--json', 'cat', 'kitten', 'tax law']).out);
  expect(pairs[0]).toMatchObject({ a: 'cat', b: 'kitten' });
  const inspected = JSON.parse(run(['inspect', '--json', path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf')]).out);
  expect(inspected.types).toEqual({ F32: { tensors: 64, bytes: 912384 }, Q8_0: { tensors: 37, bytes: 23733360 } });
  const { metadata } = inspected;
  expect([metadata['general.architecture'], metadata['bert.block_count'], metadata['tokenizer.ggml.tokens']]).toEqual([
    'bert',
    6,
    { elementType: 'string', length: 30522 },
  ]);
  const plain = run(['inspect', path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf')]).out;
  expect(plain).toMatch(/memory plan\n {2}weights/);
  expect(plain).toMatch(/general\.architecture +"bert"\n[\s\S]*tokenizer\.ggml\.tokens +string\[30522\]\n/);
});

test('inspect, verify: what a file holds sends nothing to the terminal', () => {
  const text = (/** @type {string} */ s) => {
    const bytes = Buffer.alloc(8 + Buffer.byteLength(s));
    bytes.writeBigUInt64LE(BigInt(bytes.write(s, 8)));
    return bytes;
  };
  const pair = [text('a\x1b]0;title\x07\u202e'), Buffer.of(8, 0, 0, 0), text('\x9b2J')];
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'escapes-'));
  for (const [command, pairs, shown] of /** @type {const} */ ([
    ['inspect', 1, 'a\\u001b]0;title\\u0007\\u202e'],
    ['verify', 2, 'ERR_GGUF_DUPLICATE, field a\\u001b]0;title'],
  ])) {
    const file = path.join(folder, command);
    const header = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(20)]);
    header[4] = 3;
    header[16] = pairs;
    fs.writeFileSync(file, Buffer.concat([header, ...Array(pairs).fill(pair).flat()]));
    const { out } = run([command, file]);
    expect(out).toContain(shown);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for
    expect(out).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  }
  fs.rmSync(folder, { recursive: true });
});

test('inspect --json: metadata as JSON has it, whole numbers beyond it and what is no number as strings', () => {
  const u64 = (/** @type {bigint} */ n) => Buffer.from(BigUint64Array.of(n).buffer);
  const string = (/** @type {string} */ s) => Buffer.concat([u64(BigInt(s.length)), Buffer.from(s)]);
  const long = 'x'.repeat(500);
  /** Key, GGUF's number of the type, the value's bytes, what JSON holds. @type {[string, number, Buffer, any][]} */
  const pairs = [
    ['a.u64', 10, u64(7n), 7],
    ['a.large', 10, u64(2n ** 64n - 1n), '18446744073709551615'],
    ['a.negative', 11, u64(2n ** 64n - 2n), -2],
    ['a.f32', 6, Buffer.from(Float32Array.of(0.5).buffer), 0.5],
    ['a.nan', 6, Buffer.from(Float32Array.of(Number.NaN).buffer), 'NaN'],
    ['a.bool', 7, Buffer.from([1]), true],
    ['a.long', 8, string(long), long],
    ['__proto__', 8, string(''), ''],
  ];
  const header = [Buffer.from('GGUF'), Buffer.from(Uint32Array.of(3).buffer), u64(0n), u64(BigInt(pairs.length))];
  const body = pairs.flatMap(([key, type, value]) => [string(key), Buffer.from(Uint32Array.of(type).buffer), value]);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'inspect-'));
  const file = path.join(folder, 'm.gguf');
  fs.writeFileSync(file, Buffer.concat([...header, ...body]));
  const { metadata } = JSON.parse(run(['inspect', '--json', file]).out);
  expect(Object.entries(metadata)).toEqual(pairs.map(([key, , , want]) => [key, want]));
  fs.rmSync(folder, { recursive: true });
});

test('-h after -- is a text; texts of arguments and of files are not mixed', () => {
  expect(objects(run(['embed', '-m', tiny, '--json', '--', '-h', '--help']).out).map((o) => o.text)).toEqual(['-h', '--help']);
  for (const flag of ['-h', '--help'])
    expect(run(['embed', 'a', flag])).toMatchObject({ status: 0, out: expect.stringMatching(/^gguf-stream .*: text embeddings/) });
  for (const command of ['embed', 'similarity', 'tokenize'])
    expect(run([command, '-m', tiny, 'a', 'b', '--file', __filename])).toMatchObject({ status: 2, out: '', err: expect.stringContaining('not from both') });
});

test('exit codes: 2 for wrong usage, 1 for failures', () => {
  for (const args of [[], ['foo'], ['embed', '--bogus'], ['inspect'], ['embed', '--precision', 'half', 'x']]) expect(run(args).status).toBe(2);
  const missing = run(['embed', '--model', 'missing.gguf', 'x']);
  expect(missing.status).toBe(1);
  expect(missing.err).toMatch(/ERR_FILE_OPEN/);
  expect(run(['inspect', 'missing.gguf']).status).toBe(1);
  expect(run(['--help']).status).toBe(0);
});

test.each(['embed', 'similarity', 'tokenize'])('%s of a file that cannot be read says so in one line', (command) => {
  for (const [file, code] of [
    ['nosuch', 'ENOENT'],
    [__dirname, 'EISDIR'],
  ]) {
    const r = run([command, '--file', file]);
    expect(r).toMatchObject({ status: 1, out: '', err: expect.stringMatching(/^gguf-stream: .+\n$/) });
    expect(r.err).toContain(file);
    expect(r.err.match(/\bE[A-Z]{4,}/g)).toEqual([code]); // once
  }
});

test.each([
  ['a model that is not there', ['-m', 'missing.gguf'], 1],
  ['a line that is no JSON', ['--jsonl'], 2],
])('after an error the process ends, though its standard input stays open: %s', async (_, args, status) => {
  const p = spawn(process.execPath, [cli, 'embed', ...args]);
  p.stdin.write('a text\n');
  const late = setTimeout(() => p.kill(), 20000);
  expect(await new Promise((resolve) => p.once('exit', resolve))).toBe(status);
  clearTimeout(late);
});

test('a forced kernel set gives the same bits; an unknown one is refused by name', () => {
  const best = run(['embed', '--json', 'same bits']).out;
  for (const set of ['portable', 'avx2']) {
    const r = run(['embed', '--json', 'same bits'], '', { GGUF_STREAM_KERNELS: set });
    if (r.status === 0) expect(r.out).toBe(best);
    else expect(r.err).toMatch(/ERR_KERNEL_SET.*lacks/); // avx2 where the processor has none
  }
  const r = run(['embed', 'x'], '', { GGUF_STREAM_KERNELS: 'none' });
  expect(r.err).toMatch(/ERR_KERNEL_SET.*available: .*portable/);
});

test('Ctrl-C ends at once and cleanly, while it waits and while it works', async () => {
  for (const input of ['', 'some text to embed\n'.repeat(20000)]) {
    const p = spawn(process.execPath, [cli, 'embed'], { stdio: ['pipe', 'pipe', 'pipe'] });
    let err = '';
    p.stderr.on('data', (d) => {
      err += d;
    });
    p.stdin.on('error', () => {});
    p.stdin.write(`first\n${input}`);
    await new Promise((resolve) => p.stdout.once('data', resolve)); // a line typed is a line answered
    p.stdout.resume();
    const start = Date.now();
    p.kill('SIGINT');
    const [code, signal] = await new Promise((resolve) => p.once('exit', (...a) => resolve(a)));
    expect([signal ?? code, err]).toEqual(['SIGINT', '']); // a shell shows 130
    expect(Date.now() - start).toBeLessThan(2000);
  }
});

test('what cannot be written is said', () => {
  for (const args of [
    ['embed', '-m', tiny, 'a'],
    ['inspect', tiny],
  ]) {
    const r = spawnSync('sh', ['-c', '"$0" "$@" >/dev/full', process.execPath, cli, ...args], { encoding: 'utf8' });
    expect({ status: r.status, err: r.stderr }).toEqual({ status: 1, err: 'gguf-stream: ENOSPC: no space left on device, write\n' });
  }
});

test('a byte order mark is no part of the first text; --ranges that cannot be used are named', () => {
  expect(run(['tokenize', '--jsonl'], '\uFEFF"a text"\n').out).toBe(run(['tokenize', 'a text']).out);
  expect(run(['tokenize', '--json'], '\uFEFFa text\n').out).toBe(run(['tokenize', '--json', 'a text']).out);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ranges-'));
  const row = (/** @type {number} */ n, value = 0) => Array(n).fill(value);
  const numbers = [
    [row(63), row(65)],
    [row(64), row(64, Number.NaN)], // null in JSON, which would be a maximum of 0
  ];
  for (const text of ['{', '[1]', ...numbers.map((rows) => JSON.stringify(rows))]) {
    const file = path.join(folder, 'ranges.json');
    fs.writeFileSync(file, text);
    const r = run(['embed', '-m', tiny, '--output', 'int8', '--ranges', file, 'a']);
    expect(r).toMatchObject({ status: 2, err: expect.stringContaining(`gguf-stream: --ranges ${file}: `) });
  }
  fs.rmSync(folder, { recursive: true });
});

test('a closed pipe is no error', () => {
  const r = spawnSync('sh', ['-c', `yes text | head -500 | ${process.execPath} ${cli} embed | head -1 >/dev/null`], { encoding: 'utf8' });
  expect(r.stderr).toBe('');
});

test('verify: a verdict a model, and an exit code', () => {
  const good = run(['verify']);
  expect(good.out).toMatch(/Q8_0\.gguf: good\n/);
  expect(good.out).toMatch(/8 reference texts: the same ids/);
  expect(good.status).toBe(0);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'verify-'));
  const model = path.join(folder, 'm.gguf');
  const data = fs.readFileSync(path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf'));
  const key = 'bert.pooling_type';
  data.writeUInt32LE(2, data.indexOf(key) + key.length + 4); // cls
  fs.writeFileSync(model, data);
  expect(run(['verify', model])).toMatchObject({ status: 0, out: expect.stringMatching(/: warning\n[\s\S]*pools by cls/) });
  expect(run(['verify', '--strict', model]).status).toBe(1);
  fs.writeFileSync(model, data.subarray(0, 1000));
  const [bad, fine] = run(['verify', '--json', model, path.join(__dirname, '..', 'models', 'all-MiniLM-L6-v2.Q8_0.gguf')])
    .out.trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  expect(bad).toMatchObject({ verdict: 'bad', checks: [{ name: 'structure', status: 'bad', code: 'ERR_GGUF_TRUNCATED' }, {}, {}, {}, {}, {}] });
  expect(fine.verdict).toBe('good');
  fs.rmSync(folder, { recursive: true });
});

test('doctor: what a bug report needs', () => {
  const r = run(['doctor']);
  expect(r.status).toBe(0);
  expect(r.out).toMatch(/^gguf-stream \d.*Node \d.*\nprocessor .*\n[\s\S]*kernels {6}portable.*: same bits as portable\nhealthy\n$/);
  const { host, core } = JSON.parse(run(['doctor', '--json'], '', { GGUF_STREAM_KERNELS: 'portable' }).out);
  expect(host).toMatchObject({
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    environment: { GGUF_STREAM_KERNELS: 'portable' },
  });
  expect(core.kernelSets.find((/** @type {any} */ s) => s.selected).name).toBe('portable');
  expect(core.healthy).toBe(true);
  const broken = run(['doctor'], '', { GGUF_STREAM_KERNELS: 'none' });
  expect(broken).toMatchObject({ status: 1, out: expect.stringMatching(/core +ERR_KERNEL_SET/) });
});

test('doctor waits for no name server', () => {
  const script = `
    const { report } = process;
    const getReport = report.getReport;
    report.getReport = function () {
      if (!report.excludeNetwork) console.log('asks the network');
      return getReport.call(this);
    };
    require(${JSON.stringify(path.join(__dirname, '..', 'js', 'cli', 'doctor'))}).run({}, []).then(() => console.log(report.excludeNetwork === true));`;
  const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  expect(stdout).toMatch(/healthy\nfalse\n$/);
  expect(stdout).not.toContain('asks the network');
});
