// Limits of the system: refused before allocation with needed and available bytes, or it works; never the end of the process.

const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { addon, child, expectOk, root } = require('./child');

const large = path.join(root, 'test', 'models', 'nomic-synthetic.Q8_0.gguf');

const embedOnce = `g.loadEmbedder().embed('x').then((v) => console.log(v.length), (e) => console.log(e.code)).then(() => process.exit(0));`;
const refusals = ['ERR_NATIVE_LOAD', 'ERR_MEMORY_LIMIT', 'ERR_MEMORY_ALLOCATION'];

test('a V8 heap of 32 MB', () => {
  const out = expectOk(
    `const e = g.loadEmbedder();
    (async () => {
      const other = g.loadEmbedder(${JSON.stringify(large)}); await other.embed('x'); await other.close();
      for (let k = 0; k < 4; k++) await e.embedMany(Array.from({ length: 100 }, (_, i) => 'text ' + i), { matrix: true });
      let n = 0;
      for await (const v of e.embedStream(Array.from({ length: 600 }, (_, i) => 'text ' + i))) n += v.length;
      await e.close(); console.log(n);
    })();`,
    { args: ['--max-old-space-size=32'] },
  );
  expect(Number(out)).toBe(600 * 384);
}, 120000);

test('address space: an error or a vector', () => {
  const seen = new Set();
  const node = Number(execFileSync(process.execPath, ['-p', `fs.readFileSync('/proc/self/status', 'utf8').match(/VmSize:\\s*(\\d+)/)[1]`])); // V8's reservations grow from version to version
  for (const more of [300e3, 600e3, 900e3, 1200e3, 1400e3, 1700e3, 2500e3]) {
    const kib = node + more;
    const shell = `ulimit -v ${kib}`;
    if (spawnSync('sh', ['-c', `${shell}; exec "$0" -e 0`, process.execPath]).status !== 0) continue; // too little for Node itself
    const r = child(embedOnce, { shell });
    expect({ kib, ...r }).toMatchObject({ end: 0, err: '' });
    expect(['384', ...refusals]).toContain(r.out);
    seen.add(r.out);
  }
  expect(seen).toContain('ERR_NATIVE_LOAD');
  expect(seen).toContain('384');
}, 120000);

test('address space enough for the core, not for the model: both figures are named', () => {
  const out = expectOk(
    `g.kernels();
    const limit = 1024 * Number(fs.readFileSync('/proc/self/status', 'utf8').match(/VmSize:\\s*(\\d+)/)[1]) + 130e6;
    execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + Math.round(limit)]);
    g.loadEmbedder(${JSON.stringify(large)}).ready().catch((e) => { console.log(e.code, e.message, g.memoryReport().total); process.exit(0); });`,
    { env: { MALLOC_ARENA_MAX: '1' } }, // else each of V8's threads reserves 64 MB of what is left, and ends the process when it cannot
  );
  expect(out).toMatch(/^ERR_MEMORY_LIMIT .*needs 1\d{8} bytes, but only \d{7,9} are available \(bound: RLIMIT_AS\).* 0$/);
});

const other = ['setpriv', '--reuid=54321', '--clear-groups'];
const read = ['-e', `require('node:fs').accessSync(${JSON.stringify(addon)})`];
const isOther = process.getuid?.() === 0 && spawnSync(other[0], [...other.slice(1), process.execPath, ...read]).status === 0;
// only root may become a user without processes of its own, who must be able to read this checkout; scripts/test.js names a test
// that was skipped
const testAsOther = isOther ? test : test.skip;

testAsOther(
  'threads (RLIMIT_NPROC, which root is free of): an error or a vector',
  () => {
    const seen = new Set();
    for (const n of [12, 16, 20, 24, 28, 32, 64]) {
      const as = ['prlimit', `--nproc=${n}`, ...other];
      if (spawnSync(as[0], [...as.slice(1), process.execPath, '-e', 'setTimeout(() => {}, 50)']).status !== 0) continue; // too few for Node itself
      const r = child(embedOnce, { as });
      expect({ n, ...r }).toMatchObject({ end: 0, err: '' });
      expect(['384', ...refusals]).toContain(r.out);
      seen.add(r.out);
    }
    expect(seen).toContain('384');
  },
  120000,
);

// the limit is lifted by a process that was there before it
testAsOther(
  'threads that cannot be made for a time: calls wait for them, the host does not',
  () => {
    const model = path.join(root, 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
    const out = expectOk(
      `(async () => {
        g.kernels(); // the core, and few threads of it
        const lift = spawn('sh', ['-c', 'read line; exec prlimit --nproc=4096:4096 --pid ' + process.pid], { stdio: ['pipe', 'inherit', 'inherit'] });
        await sleep(200);
        execFileSync('prlimit', ['--nproc=1:4096', '--pid', String(process.pid)]);
        const e = g.loadEmbedder();
        const work = Array.from({ length: 8 }, () => e.embedMany(Array(64).fill('words')));
        for (let i = 0; i < 20; i++) work.push(g.openGguf(${JSON.stringify(model)}).then((f) => f.close()));
        let done = 0;
        for (const w of work) w.then(() => done++, () => {});
        await sleep(1500); // the runtime's own patience is a fifth of a second
        console.log(done < work.length);
        lift.stdin.end('\\n');
        await Promise.all(work);
        await e.close();
      })();`,
      { as: ['prlimit', '--nproc=4096', ...other] },
    );
    expect(out).toBe('true'); // else nothing waited, and nothing was tested
  },
  120000,
);

test('many models and files at once take few threads', () => {
  const model = path.join(root, 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
  const out = expectOk(`
    const model = ${JSON.stringify(model)};
    const files = Array.from({ length: 12 }, (_, i) => { const f = require('node:os').tmpdir() + '/many-' + process.pid + '-' + i + '.gguf'; fs.copyFileSync(model, f); return f; });
    let peak = 0;
    const timer = setInterval(() => { peak = Math.max(peak, fs.readdirSync('/proc/self/task').length); }, 2);
    (async () => {
      const before = fs.readdirSync('/proc/self/task').length;
      const all = files.map((f) => g.loadEmbedder(f));
      await Promise.all(all.map((e) => e.embedMany(Array(32).fill('words'))));
      await Promise.all(Array.from({ length: 100 }, async () => { const f = await g.openGguf(model); await f.load('blk.0.attn_q.weight'); await f.close(); }));
      await Promise.all(all.map((e) => e.close()));
      clearInterval(timer);
      for (const f of files) fs.unlinkSync(f);
      console.log(peak - before, require('node:os').availableParallelism());
      process.exit(0);
    })();`);
  const [made, cores] = out.split(' ').map(Number);
  expect(made).toBeLessThanOrEqual(24 + 2 * cores); // 100 files and 12 models at once
}, 120000);

test('descriptors: typed errors, and what was open goes on', () => {
  const model = path.join(root, 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');
  const out = expectOk(
    `const model = ${JSON.stringify(model)};
    (async () => {
      const e = g.loadEmbedder(); await e.embed('x');
      const opened = await Promise.allSettled(Array.from({ length: 80 }, () => g.openGguf(model)));
      const good = opened.filter((r) => r.status === 'fulfilled').map((r) => r.value);
      const bad = opened.filter((r) => r.status === 'rejected').map((r) => r.reason.code);
      if ((await e.embed('goes on')).length !== 384) fail('dead');
      await Promise.all(good.map((f) => f.close()));
      const again = await g.openGguf(model); await again.close();
      console.log([...new Set(bad)].join(), good.length > 0);
      process.exit(0);
    })();`,
    { shell: 'ulimit -n 64' },
  );
  expect(out).toBe('ERR_FILE_OPEN true');
});

test('few descriptors left at the first load: an error or a vector', () => {
  const seen = new Set();
  for (let left = 1; left <= 14; left++) {
    const code = `const e = g.loadEmbedder(); require('node:v8'); const held = [];
      try { for (;;) held.push(fs.openSync('/dev/null')); } catch {}
      for (let i = 0; i < ${left}; i++) fs.closeSync(held.pop());
      e.embed('x').then((v) => v.length, (x) => x.code).then((said) => { for (const f of held) fs.closeSync(f); console.log(said); process.exit(0); });`;
    const r = child(code, { shell: 'ulimit -n 100' });
    expect({ left, ...r }).toMatchObject({ end: 0, err: '' });
    seen.add(r.out);
  }
  expect([...seen].sort()).toEqual(['384', 'ERR_NATIVE_LOAD']);
}, 60000);

test('settings of Go in the environment, malformed ones too, are none of the core', () => {
  for (const env of [{ GOMEMLIMIT: '512M' }, { GOGC: 'bogus', GOMAXPROCS: '-1', GOTRACEBACK: 'x' }, { GODEBUG: 'schedtrace=1,gctrace=1' }])
    for (const isolation of ['auto', 'process']) {
      const code = `const e = g.loadEmbedder({ isolation: '${isolation}' }); e.embed('x').then((v) => e.close().then(() => console.log(v.length)));`;
      expect({ env, ...child(code, { env }) }).toEqual({ env, end: 0, out: '384', err: '' });
    }
}, 60000);

/** A memory cgroup of our own, v1 or v2; undefined where none can be made. @param {number} bytes */
function cgroup(bytes) {
  const name = `gguf-stream-test-${process.pid}`;
  for (const [folder, limit, members] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'tasks'],
    ['/sys/fs/cgroup', 'memory.max', 'cgroup.procs'],
  ]) {
    const group = path.join(folder, name);
    try {
      fs.mkdirSync(group);
      fs.writeFileSync(path.join(group, limit), String(bytes));
      return { group, members: path.join(group, members), remove: () => fs.rmdirSync(group) };
    } catch {
      if (fs.existsSync(group)) fs.rmdirSync(group);
    }
  }
  return undefined;
}

const probe = cgroup(1e9);
probe?.remove();

// where no cgroup can be made goloader/memory's tests still check the bounds on files of their own; a skip is named
(probe ? test : test.skip)(
  'a cgroup of less memory than the model refuses it, one of more takes it; nobody is killed',
  () => {
    const code = `(async () => { const e = g.loadEmbedder(${JSON.stringify(large)}); try { await e.ready(); console.log((await e.embed('x')).length, g.MemoryMonitor.forNodejs().available < 4e8); } catch (x) { console.log(x.code, /bound: cgroup/.test(x.message)); } process.exit(0); })();`;
    const outcomes = [];
    for (const bytes of [140e6, 400e6]) {
      const group = cgroup(bytes);
      const r = child(code, { shell: `echo $$ > ${group.members}` });
      outcomes.push([r.end, r.out]);
      group.remove();
    }
    expect(outcomes).toEqual([
      [0, 'ERR_MEMORY_LIMIT true'],
      [0, '768 true'],
    ]);
  },
  120000,
);
