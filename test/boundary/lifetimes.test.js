// Environments that go away, handles that are closed, forgotten or left open, and where work runs.

const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { addon, child, expectOk, root } = require('./child');

const terminations = Number(process.env.GGUF_STREAM_TERMINATIONS ?? 150);

const bundled = path.join(root, 'models', 'all-MiniLM-L6-v2.Q8_0.gguf');

// loads, files, embeds: whatever the end interrupts, which is terminate(), exit() or an exception, at some millisecond
const interrupted = `
  const e = g.loadEmbedder(i % 2 ? {} : { precision: 'fast' });
  for (let k = 0; k < 6; k++) e.embedMany(Array(24).fill('words for a while')).catch(() => {});
  e.embedMany(Array(300).fill('words'), { matrix: true }).catch(() => {});
  g.openGguf(i % 2 ? ${JSON.stringify(bundled)} : 'missing').then((f) => f.load('token_embd.weight')).catch(() => {});
  parentPort.postMessage('go');
  if (i % 3 === 1) setTimeout(() => process.exit(0), i % 17);
  if (i % 3 === 2) setTimeout(() => { throw new Error('expected'); }, i % 13);`;

// loads and embeds in either precision until it is told to stop; i holds what each must give
const steady = `
  let on = true;
  parentPort.once('message', () => { on = false; });
  (async () => {
    let rounds = 0;
    for (; on; rounds++) {
      const e = g.loadEmbedder({ precision: ['exact', 'fast'][rounds % 2] });
      const v = await e.embed('alive');
      if (v.some((x, k) => x !== i[rounds % 2][k])) throw new Error('another vector');
      await e.close();
      await new Promise((r) => setTimeout(r, 50)); // the cores are for those that end
    }
    parentPort.postMessage(rounds);
  })();`;

test('what a worker has reserved is given back when it ends', () => {
  const out = expectOk(`(async () => {
    await g.loadEmbedder().ready();
    const before = g.memoryReport().reserved;
    const w = inWorker("const m = g.MemoryMonitor.forNodejs(); m.tryAllocate(1000)(); m.tryAllocate(3e6); parentPort.postMessage('reserved'); setInterval(() => {}, 1e6);");
    await new Promise((r) => w.once('message', r));
    const meanwhile = g.memoryReport().reserved - before;
    await w.terminate();
    console.log(meanwhile, g.memoryReport().reserved - before);
    process.exit(0);
  })();`);
  expect(out).toBe('3000000 0');
});

test(
  `${terminations} workers end while their calls run, eight others load and embed, and nothing stays open`,
  () => {
    const out = expectOk(
      `const addon = require(${JSON.stringify(addon)});
    const wanted = (precision) => { const e = g.loadEmbedder({ precision }); return e.embed('alive').finally(() => e.close()); };
    let next = 0;
    const lane = async () => { while (next < ${terminations}) { const i = next++; await new Promise((resolve) => { const w = inWorker(${JSON.stringify(interrupted)}, i); w.on('error', () => {}); w.on('exit', resolve); w.on('message', () => { if (i % 3 === 0) setTimeout(() => w.terminate(), i % 19); }); }); } };
    (async () => {
      const want = [await wanted('exact'), await wanted('fast')];
      const others = Array.from({ length: 8 }, () => inWorker(${JSON.stringify(steady)}, want));
      const rounds = others.map((w) => new Promise((resolve, reject) => w.on('message', resolve).on('error', reject)));
      await Promise.all([lane(), lane(), lane(), lane()]);
      for (const w of others) w.postMessage('stop');
      const least = Math.min(...(await Promise.all(rounds)));
      const left = () => { const m = g.memoryReport(); return { regions: m.regions, reserved: m.reserved, live: addon.stats().live }; };
      for (let k = 0; k < 200 && (left().regions || left().live); k++) { gc(); await sleep(50); }
      const fds = fs.readdirSync('/proc/self/fd').filter((f) => { try { return fs.readlinkSync('/proc/self/fd/' + f).endsWith('.gguf'); } catch { return false; } }).length;
      console.log(JSON.stringify({ ...left(), fds, late: addon.stats().late, least }));
      process.exit(0);
    })();`,
      { timeout: 30000 + terminations * 1000, args: ['--expose-gc'] },
    );
    const { late, least, ...left } = JSON.parse(out);
    if (process.env.GGUF_STREAM_TERMINATIONS)
      console.log(`${late} results came for workers that had ended; each of the eight loaded and embedded ${least} times or more`);
    expect(left).toEqual({ regions: 0, reserved: 0, live: 0, fds: 0 });
    expect(late).toBeGreaterThan(0);
    expect(least).toBeGreaterThan(0);
  },
  60000 + terminations * 1000,
);

test('workers that are terminated within calls of the addon', () => {
  const out = expectOk(
    `const code = "g.kernels(); parentPort.postMessage('go'); const e = g.loadEmbedder(); for (;;) { g.memoryReport(); g.kernels(); e.embed('x').catch(() => {}); }";
    let n = 0;
    Promise.all([0, 1].map(async () => { while (n++ < 60) await new Promise((r) => { const w = inWorker(code); w.on('exit', r); w.on('error', () => {}); w.on('message', () => setTimeout(() => w.terminate(), n % 7)); }); })).then(() => { console.log('done'); process.exit(0); });`,
  );
  expect(out).toBe('done');
});

test('loaded in workers alone, one after another', () => {
  expectOk(`const code = "const e = g.loadEmbedder(); e.embed('x').then(() => { e.embedMany(Array(200).fill('still running')).catch(() => {}); setTimeout(() => process.exit(0), 2); });";
    (async () => { for (let i = 0; i < 30; i++) await new Promise((r, j) => inWorker(code, i).on('exit', r).on('error', j)); process.exit(0); })();`);
});

test('a worker that ends during a load leaves the load to others', () => {
  const out = expectOk(`
    (async () => {
      for (let i = 0; i < 20; i++) {
        const w = inWorker("const e = g.loadEmbedder({ onProgress: () => process.exit(0) }); e.ready().catch(() => {});");
        const e = g.loadEmbedder();
        const exited = new Promise((r) => w.on('exit', r));
        await sleep(i * 2); // at some point of its start or load
        if ((await e.embed('here')).length !== 384) fail('dead');
        await exited; await e.close();
      }
      for (let k = 0; k < 100 && g.memoryReport().regions; k++) await sleep(20);
      console.log(g.memoryReport().regions); process.exit(0);
    })();`);
  expect(out).toBe('0');
});

test('the process ends at once and by itself: exit, exceptions, natural ends, during load and calls', () => {
  for (let i = 0; i < 8; i++) expect(child(`busy(); setTimeout(() => process.exit(0), ${i * 30});`).end).toBe(0);
  expect(child(`g.loadEmbedder({ onProgress: () => process.exit(5) }).ready();`).end).toBe(5);
  const thrown = child(`busy(); setTimeout(() => { throw new Error('zz'); }, 150);`);
  expect(thrown).toMatchObject({ end: 1, err: expect.stringMatching(/Error: zz/) });
  const inProgress = child(`g.loadEmbedder({ onProgress: () => { throw new Error('mine'); } }).ready();`);
  expect(inProgress).toMatchObject({ end: 1, err: expect.stringMatching(/Error: mine/) });
  expect(child(`g.loadEmbedder().embed('the process ends by itself').then(() => console.log('done'));`, { timeout: 20000 })).toMatchObject({
    end: 0,
    out: 'done',
  });
  expect(child(`g.loadEmbedder().ready();`, { timeout: 20000 }).end).toBe(0);
  expect(child(`const e = g.loadEmbedder(); e.close(); e.close().then(() => e.embed('x')).catch((x) => console.log(x.code));`).out).toBe('ERR_CLOSED');
});

test('one signal for many calls: no warning, all of them end', () => {
  const r = child(`
    (async () => {
      const e = g.loadEmbedder(); const c = new AbortController();
      await Promise.all(Array.from({ length: 40 }, () => e.embed('x', { signal: c.signal })));
      const running = Array.from({ length: 40 }, (_, i) => (i % 2 ? e.embedMany(Array(600).fill('words '.repeat(50)), { signal: c.signal }) : e.embed('x', { signal: c.signal })));
      setImmediate(() => c.abort('all'));
      const ends = await Promise.allSettled(running);
      console.log(ends.filter((r) => r.reason === 'all').length > 0, ends.every((r) => r.status === 'fulfilled' || r.reason === 'all'));
      await e.close();
    })();`);
  expect(r).toEqual({ end: 0, out: 'true true', err: '' });
});

test('what is forgotten is closed', () => {
  const out = expectOk(
    `const model = ${JSON.stringify(bundled)};
    (async () => {
      await (async () => { for (let i = 0; i < 5; i++) { await g.loadEmbedder().embed('x'); await (await g.openGguf(model)).load('token_embd.weight'); } })();
      for (let k = 0; k < 100 && g.memoryReport().regions; k++) { gc(); await sleep(20); }
      console.log(g.memoryReport().regions, fs.readdirSync('/proc/self/fd').filter((f) => { try { return fs.readlinkSync('/proc/self/fd/' + f) === model; } catch {} }).length);
    })();`,
    { args: ['--expose-gc'] },
  );
  expect(out).toBe('0 0');
});

test('libuv’s pool is left to others: a full one holds nothing up', () => {
  const out = expectOk(
    `const { pbkdf2 } = require('node:crypto');
    const e = g.loadEmbedder();
    e.ready().then(() => {
      let hashed = 0;
      for (let i = 0; i < 2; i++) pbkdf2('a', 'b', 6e5, 64, 'sha512', () => hashed++);
      e.embed('meanwhile').then(() => console.log(hashed));
    });`,
    { env: { UV_THREADPOOL_SIZE: '1' } },
  );
  expect(out).toBe('0');
});

test('the addon has nothing to destroy at exit and asks for no work on the pool', () => {
  const undefinedSymbols = execFileSync('nm', ['-D', '--undefined-only', path.join(root, 'build', 'native', 'gguf_stream.node')], { encoding: 'utf8' });
  expect(undefinedSymbols).toMatch(/napi_call_threadsafe_function/);
  expect(undefinedSymbols).not.toMatch(/__cxa_atexit|napi_.*async_work|\buv_/);
});

test('only gs_ functions leave the core, and two of them are Go: on the loader thread, and for a process of its own', () => {
  const symbols = execFileSync('nm', ['-D', '--defined-only', path.join(root, 'build', 'native', 'libgguf_stream.so')], { encoding: 'utf8' });
  for (const line of symbols.trim().split('\n')) expect(line.split(' ').pop()).toMatch(/^gs_/);
  const exported = execFileSync('grep', ['-rhoE', '^//export .*', path.join(root, 'goloader')], { encoding: 'utf8' });
  expect(exported).toBe('//export gs_start\n//export gs_serve\n');
});
