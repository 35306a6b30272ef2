const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn, spawnSync } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const { loadEmbedder, GgufError, version } = require('..');
const { platforms } = require('../js/platforms');

const root = path.join(__dirname, '..');
const executable = path.join(root, 'build', 'native', 'gguf-stream-core');
const model = path.join(root, 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
const texts = Array.from({ length: 700 }, (_, i) => `text ${i} ${'word '.repeat(i % 40)}`);

/** Pids of the cores that a process (default: this one) has started. @param {number} [parent] */
function cores(parent = process.pid) {
  const children = fs.readdirSync(`/proc/${parent}/task`).flatMap((t) => fs.readFileSync(`/proc/${parent}/task/${t}/children`, 'utf8').trim().split(' '));
  return children.filter((p) => p !== '' && fs.readFileSync(`/proc/${p}/cmdline`, 'utf8').startsWith(executable)).map(Number);
}

/** @param {number} pid */
const alive = (pid) => fs.existsSync(`/proc/${pid}`) && !/^State:\s*Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));

/** @param {() => boolean} condition */
async function until(condition) {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((r) => setTimeout(r, 25));
  expect(condition()).toBe(true);
}

/** @param {Float32Array | Uint32Array} v */
const bytes = (v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength);

/** Runs a script with the package as `g`. @param {string} code @param {{ args?: string[], env?: object, from?: string, limits?: string }} [o] from: another copy of it; limits: of a shell */
function script(code, { args = [], env = {}, from = root, limits = ':' } = {}) {
  const source = `const g = require(${JSON.stringify(from)}); ${code}`;
  const r = spawnSync('sh', ['-c', `${limits}; exec "$0" "$@"`, process.execPath, ...args, '-e', source], {
    encoding: 'utf8',
    timeout: 60000,
    env: { ...process.env, ...env },
  });
  return { end: r.signal ?? r.status, out: r.stdout.trim(), err: r.stderr };
}

test('the same bits and token ids as in the process', async () => {
  const here = loadEmbedder();
  const there = loadEmbedder({ isolation: 'process' });
  const reports = [];
  there.on('progress', (p) => reports.push(p));
  const odd = ['', 'a\0b', '\ud800 lone', 'ünïcödé 漢字 🙂', 'x'.repeat(200000)];
  expect(
    bytes(await there.embedMany([...odd, ...texts], { output: 'matrix' })).equals(bytes(await here.embedMany([...odd, ...texts], { output: 'matrix' }))),
  ).toBe(true);
  for (const t of odd) expect(await there.tokenize(t)).toEqual(await here.tokenize(t));
  expect(await there.embed('some words', { details: true })).toEqual(await here.embed('some words', { details: true }));
  expect(there.info).toEqual(here.info);
  expect(reports.at(-1).loadedBytes).toBe(reports.at(-1).totalBytes);
  expect(there.memory().purposes.weights).toBeGreaterThanOrEqual(there.info.weightBytes);
  await Promise.all([here.close(), there.close()]);
  await expect(there.embed('x')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
});

test('the same typed errors', async () => {
  const cases = [
    [{ model: '/missing.gguf' }, (e) => e.ready()],
    [{ memoryLimit: 1000 }, (e) => e.ready()],
    [{ model: path.join(__dirname, 'process.test.js') }, (e) => e.ready()],
    [{ truncate: false }, (e) => e.embed('word '.repeat(600))],
    [{}, (e) => e.embed('x', { dimensions: 5000 })],
  ];
  for (const [given, use] of cases) {
    const run = async (o) => {
      const e = loadEmbedder({ ...given, ...o });
      const error = await use(e).catch((x) => x);
      await e.close();
      return error;
    };
    const [a, b] = await Promise.all([run({}), run({ isolation: 'process' })]);
    expect(b).toBeInstanceOf(GgufError);
    expect({ ...b, message: b.message }).toEqual({ ...a, message: a.message });
  }
});

test('a matrix goes by memoryLimit, too', async () => {
  const list = Array(300).fill('a'); // of more than one job
  for (const isolation of ['auto', 'process']) {
    const e = loadEmbedder({ isolation });
    await e.embedMany(list);
    const memoryLimit = e.memory().reserved + 1000; // the weights fit, the matrix does not
    await e.close();
    const small = loadEmbedder({ isolation, memoryLimit });
    const refused = { code: 'ERR_MEMORY_LIMIT', kind: 'limit', field: 'output', message: expect.stringMatching(/^output needs 460800 bytes, .*memoryLimit/) };
    await expect(small.embedMany(list, { matrix: true })).rejects.toMatchObject(refused);
    expect(await small.embed('goes on')).toHaveLength(384);
    await small.close();
  }
});

test('cancelling', async () => {
  const e = await loadEmbedder({ isolation: 'process' }).ready();
  const reason = new Error('enough');
  const abort = new AbortController();
  const call = e.embedMany(texts, { signal: abort.signal });
  setTimeout(() => abort.abort(reason), 5);
  await expect(call).rejects.toBe(reason);
  expect(await e.embed('goes on')).toHaveLength(384);
  await e.close();
});

test('a child that dies: calls under way reject, the next one starts another with the same bits', async () => {
  const e = loadEmbedder({ isolation: 'process' });
  const first = await e.embed('same');
  const long = texts.map((t) => t.repeat(20));
  const calls = [e.embedMany(long), e.embedMany(long)].map((p) => p.catch((x) => x));
  await new Promise((r) => setTimeout(r, 20));
  const [pid] = cores();
  process.kill(pid, 'SIGKILL');
  for (const c of calls) expect(await c).toMatchObject({ name: 'GgufError', code: 'ERR_PROCESS_DIED', kind: 'io', message: expect.stringMatching(/SIGKILL/) });
  expect(bytes(await e.embed('same')).equals(bytes(first))).toBe(true);
  expect(cores()).not.toEqual([pid]);
  process.kill(cores()[0], 'SIGKILL'); // while nothing is asked of it
  await until(() => cores().length === 0);
  await new Promise((r) => setTimeout(r, 100)); // until this process has heard of it
  expect(bytes(await e.embed('same')).equals(bytes(first))).toBe(true);
  await e.close();
});

test('closing an embedder whose child has died', async () => {
  const e = await loadEmbedder({ isolation: 'process' }).ready();
  process.kill(cores()[0], 'SIGKILL');
  await expect(e.close()).resolves.toBeUndefined();
  await expect(e.embed('x')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
});

test('no orphan: the parent is killed, ends, exits; a worker is terminated', async () => {
  const busy = `const g = require(${JSON.stringify(root)}); const e = g.loadEmbedder({ isolation: 'process' });
    e.ready().then(async () => { process.stdout.write('up'); for (;;) await e.embedMany(Array(256).fill('busy '.repeat(300))); });`;
  for (const end of ['SIGKILL', 'SIGTERM']) {
    const parent = spawn(process.execPath, ['-e', busy]);
    await new Promise((r) => parent.stdout.once('data', r));
    const [pid] = cores(parent.pid);
    expect(alive(pid)).toBe(true);
    parent.kill(end);
    await until(() => !alive(pid));
  }
  expect(script(`g.loadEmbedder({ isolation: 'process' }).embed('ends by itself').then(() => console.log('done'))`)).toEqual({ end: 0, out: 'done', err: '' });
  expect(script(`g.loadEmbedder({ isolation: 'process' }).embed('x').then(() => process.exit(3))`)).toEqual({ end: 3, out: '', err: '' });
  const before = cores();
  const w = new Worker(busy.replace("process.stdout.write('up')", "require('node:worker_threads').parentPort.postMessage('up')"), { eval: true });
  await new Promise((r) => w.once('message', r));
  const mine = cores().filter((p) => !before.includes(p));
  expect(mine).toHaveLength(1);
  await w.terminate();
  await until(() => !alive(mine[0]));
});

test("a terminal's Ctrl-C is the parent's to handle", async () => {
  const e = await loadEmbedder({ isolation: 'process' }).ready();
  process.kill(cores()[0], 'SIGINT');
  expect(await e.embed('still there')).toHaveLength(384);
  await e.close();
});

test('a host that may not load addons gets a process by itself', () => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const args = [flag, '--allow-fs-read=*', '--allow-child-process'];
  const code = `g.loadEmbedder().embed('x').then((v) => console.log(v.length, g.kernels().selected !== ''), (e) => console.log(e.code + e.message))`;
  expect(script(code, { args })).toMatchObject({ end: 0, out: '384 true' });
  const refused = script(code, { args: args.slice(0, 2) });
  expect(refused.out).toMatch(/^ERR_NATIVE_LOAD/);
  expect(refused.out).toMatch(/--allow-child-process/);
});

test('what may not be read is not said to be absent', () => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const alone = fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-'));
  try {
    for (const f of ['js', 'package.json']) fs.cpSync(path.join(root, f), path.join(alone, f), { recursive: true });
    const folder = path.join(alone, 'node_modules', '@gguf-stream', 'all-minilm-l6-v2');
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(path.join(folder, 'index.js'), '');
    const args = [flag, ...['js/*', 'models/*', 'package.json'].map((f) => `--allow-fs-read=${alone}/${f}`)];
    const code = `g.loadEmbedder().ready().catch((e) => console.log(e.code + ' ' + e.message))`;
    expect(script(code, { args, from: alone }).out).toMatch(/^ERR_FILE_OPEN .*the bundled one may not be read \(--allow-fs-read\)/);
  } finally {
    fs.rmSync(alone, { recursive: true });
  }
});

test('a load that had a signal: another child loads again after the signal has aborted', async () => {
  const abort = new AbortController();
  const e = await loadEmbedder({ isolation: 'process', signal: abort.signal }).ready();
  abort.abort();
  process.kill(cores()[0], 'SIGKILL');
  await until(() => cores().length === 0);
  await new Promise((r) => setTimeout(r, 100)); // until this process has heard of it
  expect(await e.embed('x')).toHaveLength(384);
  await e.close();
});

test('no descriptors for the pipes: one typed error, and the next call tries again', () => {
  const out = script(
    `(async () => {
      const fs = require('node:fs'), e = g.loadEmbedder({ isolation: 'process' });
      require(${JSON.stringify(path.join(root, 'js', 'process.js'))});
      const held = []; try { for (;;) held.push(fs.openSync('/dev/null')); } catch {}
      const said = await e.embed('x').catch((x) => x.code + ' ' + x.message);
      for (const f of held) fs.closeSync(f);
      console.log(said, (await e.embed('x')).length);
    })()`,
    { limits: 'ulimit -n 64' },
  );
  expect(out).toEqual({ end: 0, out: "ERR_NATIVE_LOAD the core's process cannot be started: too many open files 384", err: '' });
});

test('calls where the stack is nearly full settle, and so do those after them', () => {
  const out = script(
    `(async () => {
      const e = g.loadEmbedder({ isolation: 'process' }), made = []; await e.embed('x');
      let tries;
      const down = () => { try { down(); } catch { if (tries++ < 40) { try { made.push(e.embed('x').catch(() => {})); } catch {} throw new Error('up'); } } };
      for (let i = 0; i < 20; i++) { tries = 0; try { down(); } catch {} }
      await Promise.all(made);
      console.log(made.length > 50, (await e.embed('y')).length);
      process.exit();
    })()`,
  );
  expect(out).toMatchObject({ end: 0, out: 'true 384' }); // V8 itself tells of the overflow on stderr
});

test('a call that the child has no memory for is refused alone', async () => {
  const e = loadEmbedder({ isolation: 'process', maxTextBytes: 1 << 30 });
  await e.embed('x');
  const [pid] = cores();
  const taken = 1024 * Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmSize:\s*(\d+)/)?.[1]);
  spawnSync('prlimit', ['--pid', String(pid), `--as=${taken + 30e6}`]);
  await expect(e.countTokens('w '.repeat(5e7))).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_MEMORY_(LIMIT|ALLOCATION)$/) });
  expect(await e.embed('x')).toHaveLength(384);
  expect(cores()).toEqual([pid]);
  await e.close();
});

test('the whole of the API without the addon', () => {
  const env = { GGUF_STREAM_BINARY: executable };
  const out = script(
    `(async () => {
      console.log(g.kernels().available.includes('portable'), g.memoryReport().total);
      const f = await g.openGguf(${JSON.stringify(model)});
      console.log(f.info.tensors, await f.get('general.architecture'), (await f.load('embeddings.position_embeddings.weight').catch(() => f.load('position_embd.weight'))).length);
      const give = g.MemoryMonitor.forNodejs().tryAllocate(1e9);
      try { g.MemoryMonitor.forNodejs().tryAllocate(2e9); } catch (e) { console.log(e.code); }
      give();
      let n = 0; for await (const c of f.chunks('position_embd.weight')) n += c.data.length;
      console.log(n);
      process.kill(Number(require('fs').readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8')), 'SIGKILL');
      await new Promise((r) => setTimeout(r, 100));
      await f.get('general.architecture').catch((e) => console.log(e.code));
      await f.close();
    })()`,
    { env },
  );
  expect(out).toMatchObject({ end: 0, err: '' });
  expect(out.out.split('\n')).toEqual(['true 0', '101 bert 196608', 'ERR_MEMORY_LIMIT', expect.stringMatching(/^\d+$/), 'ERR_PROCESS_DIED']);
});

test('a monitor grants what there may be before a core has said how much, and no more', () => {
  const code = `const m = new g.MemoryMonitor(2 ** 52); console.log(m.canAllocate(1e15), m.canAllocate(1000), m.available <= require('node:os').totalmem());`;
  expect(script(code, { env: { GGUF_STREAM_BINARY: executable } })).toMatchObject({ end: 0, out: 'false true true' });
});

test('what cannot be started is said once, in full', () => {
  const code = `g.loadEmbedder().embed('x').catch((e) => console.log(e.code + ' ' + e.message))`;
  expect(script(code, { env: { GGUF_STREAM_BINARY: '/no/such/file' } }).out).toMatch(
    /^ERR_NATIVE_LOAD the core's process cannot be started: spawn \/no\/such\/file ENOENT$/,
  );
  expect(script(code, { env: { GGUF_STREAM_BINARY: executable, GGUF_STREAM_KERNELS: 'none' } }).out).toMatch(/^ERR_KERNEL_SET .*available: .*portable/);
  expect(script(code, { env: { GGUF_STREAM_BINARY: '/bin/true' } }).out).toMatch(/^ERR_PROCESS_DIED .*exit code 0/);
  const all = script(code, { env: { GGUF_STREAM_BINARY: '/no/addon.node' } }).out;
  expect(all).toMatch(/ERR_NATIVE_LOAD gguf-stream has no native library for linux-(x64|arm64) \((glibc|musl)\), Node \d+\.\d+\.\d+\. Tried:/);
  expect(all).toMatch(/GGUF_STREAM_BINARY: Cannot find module '\/no\/addon\.node'/);
  expect(all).toMatch(/npm install --include=optional/);
  expect(all).not.toMatch(/bundler/); // no package was looked for
});

test('a package without its files, as an application leaves it that is packed wrongly: it is said why the addon was not loaded, too', () => {
  const alone = fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-'));
  try {
    for (const f of ['js', 'package.json']) fs.cpSync(path.join(root, f), path.join(alone, f), { recursive: true });
    for (const p of platforms) {
      const folder = path.join(alone, 'node_modules', p.package);
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, 'index.js'), `module.exports = { version: '${version}', addon: '/no/addon.node', process: '/no/core' };`);
    }
    const code = `g.loadEmbedder(${JSON.stringify(model)}).embed('x').catch((e) => console.log(e.code + ' ' + e.message))`;
    expect(script(code, { from: alone }).out).toMatch(
      /^ERR_NATIVE_LOAD the core's process cannot be started: spawn \/no\/core ENOENT\. Tried before:\n {2}@gguf-stream\/\S+: .+/,
    );
  } finally {
    fs.rmSync(alone, { recursive: true });
  }
});

test('JavaScript without its packages, as a bundler leaves it, says so', () => {
  const alone = fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-'));
  try {
    for (const f of ['js', 'package.json']) fs.cpSync(path.join(root, f), path.join(alone, f), { recursive: true });
    const said = (/** @type {string} */ given) =>
      script(`g.loadEmbedder(${given}).embed('x').catch((e) => console.log(e.code + ' ' + e.message))`, { from: alone }).out;
    expect(said('')).toMatch(/^ERR_FILE_OPEN .*npm install @gguf-stream\/all-minilm-l6-v2; if a bundler .*external \(docs\/bundlers\.md\)$/);
    const libc = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
    const cure = `npm install --include=optional --os=linux --cpu=${process.arch} --libc=${libc} gguf-stream; if a bundler took`;
    expect(said(JSON.stringify(model))).toMatch(new RegExp(`^ERR_NATIVE_LOAD .*\\nInstall its packages: ${cure}.*docs/bundlers\\.md`, 's'));
  } finally {
    fs.rmSync(alone, { recursive: true });
  }
});
