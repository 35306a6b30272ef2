// The hazards of a Go library inside Node: each scenario runs in a child process, which must end by itself with exit 0.

const { spawnSync, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const vm = require('node:vm');

const root = path.join(__dirname, '..', '..');

/** @param {string} code @param {{ args?: string[], shell?: string, timeout?: number }} [o] */
function child(code, o = {}) {
  const script = `const g = require(${JSON.stringify(root)});\nconst { Worker } = require('node:worker_threads'); const { spawn } = require('node:child_process'); const fs = require('node:fs');\n${code}`;
  const args = [...(o.args ?? []), '-e', script];
  const r = o.shell
    ? spawnSync('sh', ['-c', `${o.shell}; exec "$0" "$@"`, process.execPath, ...args], { encoding: 'utf8', timeout: o.timeout ?? 60000 })
    : spawnSync(process.execPath, args, { encoding: 'utf8', timeout: o.timeout ?? 60000 });
  return { end: r.signal ?? r.status, out: r.stdout.trim(), err: r.stderr };
}

/** @param {string} code @param {object} [o] */
function expectOk(code, o) {
  const r = child(code, o);
  expect(r).toMatchObject({ end: 0 });
  return r.out;
}

const busy = `const e = g.loadEmbedder(); let on = true; const work = (async () => { while (on) await e.embedMany(Array(64).fill('some words to work on')); })();`;

test('every thread of the core has its signals blocked but the synchronous ones', () => {
  const out = expectOk(`
    const before = new Set(fs.readdirSync('/proc/self/task'));
    const e = g.loadEmbedder();
    e.embedMany(Array(64).fill('x y z')).then(() => {
      const open = new Set();
      for (const t of fs.readdirSync('/proc/self/task')) if (!before.has(t)) {
        const mask = BigInt('0x' + fs.readFileSync('/proc/self/task/' + t + '/status', 'utf8').match(/SigBlk:\\s*(\\w+)/)[1]);
        for (const [name, n] of Object.entries(require('node:os').constants.signals)) if (n < 32 && !(mask >> BigInt(n - 1) & 1n)) open.add(name);
      }
      console.log([...open].filter((s) => !['SIGILL','SIGTRAP','SIGBUS','SIGFPE','SIGSEGV','SIGSTKFLT','SIGKILL','SIGSTOP'].includes(s)).join());
      process.exit(0);
    });`);
  expect(out).toBe('');
});

test('storms of signals and of children while embedding', () => {
  expectOk(
    `let n = 0; for (const s of ['SIGUSR2', 'SIGWINCH', 'SIGURG', 'SIGTERM']) process.on(s, () => n++);
    ${busy}
    const end = Date.now() + 4000;
    (async () => {
      const storm = (async () => { while (Date.now() < end) { for (let i = 0; i < 50; i++) process.kill(process.pid, ['SIGUSR2', 'SIGWINCH', 'SIGURG', 'SIGTERM'][i % 4]); await new Promise(setImmediate); } })();
      await Promise.all([storm, ...Array.from({ length: 4 }, async () => { while (Date.now() < end) await new Promise((r) => spawn('/bin/true', { stdio: 'ignore' }).on('exit', r)); })]);
      on = false; await work; await e.close();
      if (n < 100) throw new Error('only ' + n + ' signals');
      process.exit(0);
    })();`,
  );
});

test('the host keeps its signal dispositions', () => {
  const actions = `() => fs.readFileSync('/proc/self/status', 'utf8').match(/Sig(Ign|Cgt):\\s*\\w+/g).join()`;
  expectOk(`const look = ${actions}; const strip = (s) => s.replace(/\\w+$/g, (h) => (BigInt('0x' + h) & ~BigInt((1 << 6) | (1 << 7) | (1 << 10))).toString(16));
    const a = look(); g.kernels(); const b = look();
    if (a.split(',')[0] !== b.split(',')[0]) throw new Error(a + ' ' + b); process.exit(0);`);
});

test('200 workers that end while their calls run', () => {
  expectOk(
    `const code = "const g = require(" + JSON.stringify(${JSON.stringify(root)}) + "); const { parentPort, workerData: i } = require('node:worker_threads'); const e = g.loadEmbedder(); for (let k = 0; k < 8; k++) e.embedMany(Array(32).fill('words for a while')).catch(() => {}); parentPort.postMessage('go'); if (i % 3 === 1) setTimeout(() => process.exit(0), i % 7); if (i % 3 === 2) setTimeout(() => { throw new Error('expected'); }, i % 5);";
    let next = 0;
    const lane = async () => { while (next < 200) { const i = next++; await new Promise((resolve) => { const w = new Worker(code, { eval: true, workerData: i }); w.on('error', () => {}); w.on('exit', resolve); w.on('message', () => { if (i % 3 === 0) setTimeout(() => w.terminate(), i % 4); }); }); } };
    Promise.all([lane(), lane(), lane(), lane()]).then(async () => {
      const e = g.loadEmbedder(); const v = await e.embed('alive'); await e.close();
      if (v.length !== 384) throw new Error('dead');
      for (let i = 0; i < 100 && g.memoryReport().purposes.output > 1e7; i++) await new Promise((r) => setTimeout(r, 50));
      process.exit(0);
    });`,
    { timeout: 120000 },
  );
}, 130000);

test('loaded in workers alone, one after another', () => {
  expectOk(`const code = "const g = require(" + JSON.stringify(${JSON.stringify(root)}) + "); const e = g.loadEmbedder(); e.embed('x').then(() => { e.embedMany(Array(200).fill('still running')).catch(() => {}); setTimeout(() => process.exit(0), 2); });";
    (async () => { for (let i = 0; i < 30; i++) await new Promise((r, j) => new Worker(code, { eval: true }).on('exit', r).on('error', j)); process.exit(0); })();`);
});

test('process.exit, uncaught exceptions and a natural end with calls under way', () => {
  for (let i = 0; i < 6; i++) expect(child(`${busy} setTimeout(() => process.exit(0), ${i * 40});`).end).toBe(0);
  const thrown = child(`${busy} setTimeout(() => { throw new Error('zz'); }, 120);`);
  expect(thrown.end).toBe(1);
  expect(thrown.err).toMatch(/Error: zz/);
  expect(child(`g.loadEmbedder().embed('the process ends by itself').then(() => console.log('done'));`)).toMatchObject({ end: 0, out: 'done' });
});

test('WebAssembly traps still throw', () => {
  const out = expectOk(`${busy}
    const w = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,5,1,1,102,0,0,10,9,1,7,0,32,0,40,2,0,11])));
    setTimeout(() => { let n = 0; for (let i = 0; i < 5000; i++) try { w.exports.f(0x7fff0000); } catch (x) { n += x instanceof WebAssembly.RuntimeError; } console.log(n); process.exit(0); }, 200);`);
  expect(out).toBe('5000');
});

test('too little address space is an error, not the end', () => {
  const r = child(`g.loadEmbedder().embed('x').catch((x) => { console.log(x.code, /address space/.test(x.message)); process.exit(0); });`, {
    shell: 'ulimit -v 1300000',
  });
  expect(r).toMatchObject({ end: 0, out: 'ERR_NATIVE_LOAD true' });
});

test('two copies of the package in one process', () => {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'copy-'));
  for (const d of ['js', 'build/native', 'models', 'package.json']) fs.cpSync(path.join(root, d), path.join(copy, d), { recursive: true });
  const out = expectOk(
    `const h = require(${JSON.stringify(copy)}); Promise.all([g.loadEmbedder().embed('same'), h.loadEmbedder().embed('same')]).then(([a, b]) => { console.log(Buffer.from(a.buffer).equals(Buffer.from(b.buffer))); process.exit(0); });`,
  );
  fs.rmSync(copy, { recursive: true });
  expect(out).toBe('true');
});

test('results belong to the realm of the wrapper; copies where external buffers are refused', async () => {
  const { loadEmbedder } = require(root);
  const addon = require(path.join(root, 'build', 'native', 'gguf_stream.node'));
  const e = loadEmbedder();
  const texts = Array.from({ length: 100 }, (_, i) => `text ${i}`);
  const external = await e.embedMany(texts, { output: 'matrix' });
  expect(external).toBeInstanceOf(Float32Array);
  expect(external.buffer.byteLength).toBeGreaterThan(65536);
  addon.refuseExternal(true);
  expect(await e.embedMany(texts, { output: 'matrix' })).toEqual(external);
  addon.refuseExternal(false);
  const moved = structuredClone(external);
  expect(Buffer.from(moved.buffer).equals(Buffer.from(external.buffer))).toBe(true);
  const context = vm.createContext({ e });
  expect(await vm.runInContext(`e.embed('x').then((v) => v.length)`, context)).toBe(384);
  await e.close();
  expect(external[0]).not.toBeNaN(); // still there after close
});

test('nothing is written to stdout or stderr', () => {
  const r = child(`g.loadEmbedder().embed('quiet').then(() => g.loadEmbedder('nothing').embed('x')).catch(() => process.exit(0));`);
  expect(r).toEqual({ end: 0, out: '', err: '' });
});

test('only gs_ functions leave the core', () => {
  const symbols = execFileSync('nm', ['-D', '--defined-only', path.join(root, 'build', 'native', 'libgguf_stream.so')], { encoding: 'utf8' });
  for (const line of symbols.trim().split('\n')) expect(line.split(' ').pop()).toMatch(/^gs_/);
});
