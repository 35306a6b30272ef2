// Signals and children: libuv's handlers never run on a goroutine's stack, the host keeps what is its own.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { child, expectOk } = require('./child');

const stormMs = 1000 * Number(process.env.GGUF_STREAM_STORM_SECONDS ?? 3);
const stormTimeout = 60000 + 8 * stormMs;

/** What scripts/stress.js shows. @param {string} figure */
const say = (figure) => process.env.GGUF_STREAM_STORM_SECONDS && console.log(figure);

test('every thread of the core has its signals blocked but the synchronous ones', () => {
  const out = expectOk(`
    const before = new Set(fs.readdirSync('/proc/self/task'));
    const { e } = busy();
    e.embed('x').then(() => {
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

test.each(['before', 'after'])('handlers of the host that were added %s the load run, each for its own signal', (when) => {
  const out = expectOk(`
    const signals = ['SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCHLD', 'SIGTERM'];
    const got = [];
    const add = () => { for (const s of signals) process.on(s, () => got.push(s)); };
    if ('${when}' === 'before') add();
    const { e, stop } = busy();
    e.ready().then(async () => {
      if ('${when}' === 'after') add();
      for (const s of signals) {
        const n = got.length;
        process.kill(process.pid, s);
        for (let k = 0; k < 200 && got.length === n; k++) await sleep(10);
      }
      await stop();
      console.log(got.join());
      process.exit(0);
    });`);
  expect(out).toBe('SIGUSR1,SIGUSR2,SIGWINCH,SIGCHLD,SIGTERM');
});

test(
  'a storm of signals, with handlers from before and after the load',
  () => {
    const out = expectOk(
      `
    let n = 0;
    for (const s of ['SIGUSR2', 'SIGCHLD']) process.on(s, () => n++);
    const { e, stop } = busy();
    e.ready().then(async () => {
      for (const s of ['SIGWINCH', 'SIGTERM', 'SIGURG', 'SIGUSR1']) process.on(s, () => n++);
      for (let round = 0; round === 0 || (n < 2000 && round < 8); round++) await Promise.all([0, 1].map(() => storm(${stormMs}, ['USR2', 'WINCH', 'URG', 'TERM', 'CHLD', 'USR1'])));
      await stop();
      console.log(n);
      process.exit(0);
    });`,
      { timeout: stormTimeout },
    );
    say(`${out} signals`);
    expect(Number(out)).toBeGreaterThanOrEqual(2000);
  },
  stormTimeout,
);

test(
  'a storm of children',
  () => {
    const out = expectOk(
      `
    const { e, stop } = busy();
    e.ready().then(async () => {
      let n = 0;
      for (let round = 0; round === 0 || (n < 100 && round < 8); round++) for (const k of await Promise.all(Array.from({ length: 8 }, () => children(${stormMs})))) n += k;
      await stop();
      console.log(n);
      process.exit(0);
    });`,
      { timeout: stormTimeout },
    );
    say(`${out} children`);
    expect(Number(out)).toBeGreaterThanOrEqual(100);
  },
  stormTimeout,
);

test('the host keeps its signal dispositions', () => {
  const out = expectOk(`
    const synchronous = (1n << 6n) | (1n << 7n) | (1n << 10n); // BUS, FPE, SEGV stay with Go, which forwards what is not its own
    const look = () => fs.readFileSync('/proc/self/status', 'utf8').match(/Sig(Ign|Cgt):\\s*\\w+/g).map((l) => (BigInt('0x' + l.split(/\\s+/)[1]) & ~synchronous & 0x7fffffffn).toString(16)).join();
    const before = look(); g.kernels(); console.log(before === look()); process.exit(0);`);
  expect(out).toBe('true');
});

test('signals that nobody handles do what they always do', () => {
  for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGSEGV']) {
    const r = child(`const { e } = busy(); e.ready().then(() => setTimeout(() => execFileSync('kill', ['-s', '${s.slice(3)}', String(process.pid)]), 100));`);
    expect([s, r.end]).toEqual([s, s]);
  }
  expect(
    child(`const { e } = busy(); e.ready().then(() => { execFileSync('kill', ['-s', 'PIPE', String(process.pid)]); setTimeout(() => process.exit(7), 100); });`)
      .end,
  ).toBe(7);
});

test('profiles, heap snapshots and the inspector work while all threads embed', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'profile-'));
  const seconds = (ms) => `const { e, stop } = busy(); e.ready().then(async () => { await sleep(${ms}); await stop(); process.exit(0); });`;
  expectOk(seconds(1500), { args: ['--cpu-prof', '--cpu-prof-interval=100', `--cpu-prof-dir=${folder}`] });
  const profile = fs.readdirSync(folder).find((f) => f.endsWith('.cpuprofile'));
  expect(JSON.parse(fs.readFileSync(path.join(folder, profile), 'utf8')).samples.length).toBeGreaterThan(500);
  expectOk(
    `process.chdir(${JSON.stringify(folder)}); const { e, stop } = busy(); e.ready().then(async () => { execFileSync('kill', ['-s', 'USR2', String(process.pid)]); for (let k = 0; k < 200 && !fs.readdirSync('.').some((f) => f.endsWith('.heapsnapshot')); k++) await sleep(100); await stop(); process.exit(0); });`,
    { args: ['--heapsnapshot-signal=SIGUSR2'] },
  );
  expect(fs.readdirSync(folder).filter((f) => f.endsWith('.heapsnapshot'))).toHaveLength(1);
  const inspected = child(
    `const { e, stop } = busy(); e.ready().then(async () => { process.kill(process.pid, 'SIGUSR1'); for (let k = 0; k < 200 && !require('node:inspector').url(); k++) await sleep(100); await stop(); process.exit(0); });`,
    {
      args: ['--inspect-port=0'],
    },
  );
  expect(inspected).toMatchObject({ end: 0, err: expect.stringMatching(/Debugger listening/) });
  expect(child(seconds(500), { args: ['--inspect=0'] })).toMatchObject({ end: 0, err: expect.stringMatching(/Debugger listening/) });
  fs.rmSync(folder, { recursive: true });
});

test('WebAssembly traps throw, on the main thread and in workers', () => {
  const trap = `const w = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,5,1,1,102,0,0,10,9,1,7,0,32,0,40,2,0,11])));
    let n = 0; for (let k = 0; k < 5000; k++) try { w.exports.f(0x7fff0000); } catch (x) { n += x instanceof WebAssembly.RuntimeError; }`;
  const out = expectOk(`
    const { e } = busy();
    e.ready().then(async () => {
      const counts = [0, 1].map(() => new Promise((r) => inWorker(${JSON.stringify(`${trap} parentPort.postMessage(n);`)}).on('message', r)));
      ${trap}
      console.log([n, ...(await Promise.all(counts))].join()); process.exit(0);
    });`);
  expect(out).toBe('5000,5000,5000');
});

test('nothing is written to stdout or stderr, and children start with open signals', () => {
  const r = child(`g.loadEmbedder().embed('quiet').then(() => g.loadEmbedder('nothing').embed('x')).catch(() => process.exit(0));`);
  expect(r).toEqual({ end: 0, out: '', err: '' });
  const mask = expectOk(
    `g.loadEmbedder().embed('x').then(() => { console.log(execFileSync('grep', ['SigBlk', '/proc/self/status'], { encoding: 'utf8' })); process.exit(0); });`,
  );
  expect(mask).toMatch(/SigBlk:\s*0+$/);
});
