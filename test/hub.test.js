const crypto = require('node:crypto');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { loadEmbedder, openGguf } = require('..');
const { cacheFolder } = require('../js/hub/cache');
const { matching, parseReference } = require('../js/hub/reference');
const { shortNames } = require('../js/models');
const { pullModel } = require('../js/hub/download');
const { Hub } = require('./hub-server');

const bytes = fs.readFileSync(path.join(__dirname, 'models', 'bert-tiny-mean.Q8_0.gguf'));
const other = fs.readFileSync(path.join(__dirname, 'models', 'bert-tiny-mean.gguf'));
const sha256 = (b) => crypto.createHash('sha256').update(b).digest('hex');
const cli = path.join(__dirname, '..', 'js', 'cli.js');
const before = { ...process.env };

/** @type {Hub} */
let hub;
/** @type {string} */
let cache;
const inCache = (...parts) => path.join(cache, 'models--owner--models', ...parts);

beforeEach(async () => {
  hub = await new Hub().listen();
  hub.files.set('README.md', Buffer.from('# models'));
  hub.files.set('tiny-f32.gguf', other);
  hub.files.set('tiny.Q8_0.gguf', bytes);
  cache = fs.mkdtempSync(path.join(os.tmpdir(), 'hub-'));
  for (const name of Object.keys(process.env)) if (/^(HF_|HUGGING|XDG_CACHE|https?_proxy|NODE_USE_ENV)/i.test(name)) delete process.env[name];
  Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_HOME: cache, HF_HUB_DOWNLOAD_TIMEOUT: '1' });
});

afterEach(async () => {
  await hub.close();
  fs.rmSync(cache, { recursive: true });
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});

/** @param {string} name @param {object} [options] */
const pull = (name, options) => pullModel(parseReference(name), options);

test('a model by name: pulled once into the layout of huggingface_hub, then without a question', async () => {
  const phases = [];
  const e = loadEmbedder({ model: 'hf:owner/models', onProgress: (p) => phases.push(p) });
  expect(await e.embed('a text')).toHaveLength(64);
  await e.close();
  expect(phases.filter((p) => p.phase === 'download').at(-1)).toEqual({ phase: 'download', loadedBytes: bytes.length, totalBytes: bytes.length });
  expect(fs.readFileSync(inCache('refs', 'main'), 'utf8')).toBe(hub.commits.main);
  const link = inCache('snapshots', hub.commits.main, 'tiny.Q8_0.gguf');
  expect(fs.readlinkSync(link)).toBe(path.join('..', '..', 'blobs', sha256(bytes)));
  expect(fs.readdirSync(inCache('blobs'))).toEqual([sha256(bytes)]);
  const asked = hub.requests.length;
  process.env.HF_HUB_OFFLINE = '1';
  const file = await openGguf('hf:owner/models:q8_0');
  expect(file.info.path).toBe(link);
  await file.close();
  expect(hub.requests).toHaveLength(asked);
});

test('a cut, a stall, a busy server: resumed from the bytes at hand', async () => {
  hub.faults = [{ cut: 5000 }, { stall: 7000 }, { status: 503 }];
  await pull('hf:owner/models');
  expect(hub.reads().map((q) => q.range)).toEqual([undefined, ...[5000, 12000, 12000].map((from) => `bytes=${from}-${bytes.length - 1}`)]);
});

test('resumed by the next process, and where ranges are not honoured begun anew', async () => {
  const aborter = new AbortController();
  hub.faults = [{ stall: 5000 }];
  const reason = new Error('enough');
  const stopped = pull('hf:owner/models', { signal: aborter.signal, onProgress: () => aborter.abort(reason) });
  await expect(stopped).rejects.toBe(reason);
  const incomplete = inCache('blobs', `${sha256(bytes)}.gguf-stream.incomplete`);
  expect(fs.statSync(incomplete).size).toBe(5000);
  expect(fs.existsSync(inCache('refs', 'main'))).toBe(false);
  hub.faults = [{ ignoreRange: true }];
  await pull('hf:owner/models');
  expect(hub.reads().map((q) => q.range)).toEqual([undefined, `bytes=5000-${bytes.length - 1}`, undefined]);
  expect(fs.existsSync(incomplete)).toBe(false);
});

test('a listener that throws ends the download, which is no fault of the network, and nothing is lost', async () => {
  const mine = new Error('mine');
  const reports = [];
  const thrower = (/** @type {any} */ p) => {
    reports.push(p);
    throw mine;
  };
  await expect(pull('hf:owner/models', { onProgress: thrower })).rejects.toBe(mine);
  expect(reports).toHaveLength(1);
  expect(hub.reads()).toHaveLength(1); // not tried again
  const e = loadEmbedder({ model: 'hf:owner/models', onProgress: thrower });
  await expect(e.ready()).rejects.toBe(mine);
  await expect(e.embed('x')).rejects.toBe(mine);
  await e.close();
  await pull('hf:owner/models');
  expect(fs.readdirSync(inCache('blobs'))).toEqual([sha256(bytes)]);
});

test('a hub that offers its chunk protocol is read over plain HTTP all the same', async () => {
  hub.xet = true;
  hub.faults = [{ cut: 5000 }];
  await pull('hf:owner/models');
  expect(hub.reads().map((q) => q.range)).toEqual([undefined, `bytes=5000-${bytes.length - 1}`]);
});

test('wrong bytes are never shown: ERR_DOWNLOAD_HASH, then a clean start', async () => {
  hub.faults = [{ flip: 100 }];
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD_HASH', kind: 'io' });
  expect(fs.readdirSync(inCache('blobs'))).toEqual([]);
  await pull('hf:owner/models');
  expect(fs.readdirSync(inCache('blobs'))).toEqual([sha256(bytes)]);
});

test('a file that git holds itself is checked by its git hash', async () => {
  hub.plain.add('tiny.Q8_0.gguf');
  await pull('hf:owner/models');
  hub.files.set('tiny.Q8_0.gguf', bytes);
  expect(fs.readdirSync(inCache('blobs'))[0]).toHaveLength(40);
});

test('a hub that lies: sizes, hashes, commits and paths', async () => {
  hub.lies.set('tiny.Q8_0.gguf', { size: 10 });
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD' });
  hub.lies.set('tiny.Q8_0.gguf', { lfs: { oid: '../../escape', size: bytes.length } });
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD', message: expect.stringContaining('no hash') });
  hub.files.delete('tiny-f32.gguf');
  hub.lies.set('tiny.Q8_0.gguf', { path: '../../../tiny.Q8_0.gguf' });
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_MODEL_NAME' });
  hub.lies.set('tiny.Q8_0.gguf', { path: 'a\x1b[2J.Q8_0.gguf' }); // an error that lists it would clear the screen
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_MODEL_NAME', message: expect.not.stringContaining('\x1b') });
  hub.lies.clear();
  hub.commits.main = '../x';
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD', message: expect.stringContaining('no commit') });
});

test('401, 404, a server that stays broken, none at all, offline', async () => {
  await expect(pull('hf:owner/none')).rejects.toMatchObject({ code: 'ERR_MODEL_ACCESS' });
  await expect(pull('hf:owner/models@v9')).rejects.toMatchObject({ code: 'ERR_MODEL_NAME' });
  await expect(pull('hf:owner/models:Q2_K')).rejects.toMatchObject({
    code: 'ERR_MODEL_NAME',
    message: expect.stringContaining('tiny-f32.gguf, tiny.Q8_0.gguf'),
  });
  hub.faults = [{ status: 418 }];
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD', message: expect.stringContaining('418') });
  process.env.HF_HUB_OFFLINE = '1';
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_OFFLINE' });
});

test('offline: pull of what is in the cache gives it, without a question', async () => {
  const online = await pull('hf:owner/models');
  const asked = hub.requests.length;
  process.env.HF_HUB_OFFLINE = '1';
  expect(await pull('hf:owner/models')).toBe(online);
  expect(hub.requests).toHaveLength(asked);
  await expect(pull('hf:owner/models:f32')).rejects.toMatchObject({ code: 'ERR_OFFLINE', message: expect.stringContaining('tiny.Q8_0.gguf') });
});

test('~ and $NAME in the folders of the environment are those of huggingface_hub', async () => {
  const home = jest.spyOn(os, 'homedir').mockReturnValue(path.dirname(cache));
  process.env.HF_HUB_CACHE = `~/${path.basename(cache)}`;
  expect(await pull('hf:owner/models')).toBe(inCache('snapshots', hub.commits.main, 'tiny.Q8_0.gguf'));
  delete process.env.HF_HUB_CACHE;
  for (const [given, hubFolder] of [
    ['~', path.join(path.dirname(cache), 'hub')],
    [`$HF_PART/a-\${HF_PART}$HF_NONE`, path.join('part', 'a-part$HF_NONE', 'hub')],
    ['/a~/~', path.join('/a~', '~', 'hub')],
  ]) {
    Object.assign(process.env, { HF_HOME: given, HF_PART: 'part' });
    expect(cacheFolder()).toBe(hubFolder);
  }
  home.mockRestore();
});

test('a hub that does not answer: ERR_DOWNLOAD after some tries', async () => {
  await hub.close();
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD', message: expect.stringContaining('ECONNREFUSED') });
}, 30000);

test('a cache that cannot be written, a proxy that makes no sense', async () => {
  const handle = await fs.promises.open(__filename);
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  const spy = jest.spyOn(Object.getPrototypeOf(handle), 'write').mockRejectedValueOnce(full);
  await handle.close();
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD', message: expect.stringContaining('ENOSPC'), cause: full });
  expect(hub.reads()).toHaveLength(1);
  spy.mockRestore();
  process.env.HF_HUB_CACHE = __filename;
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD', message: expect.stringContaining('cannot be written') });
  process.env.HTTP_PROXY = 'nonsense';
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_DOWNLOAD' });
});

test('the token goes to the hub, from HF_TOKEN or the file of hf auth login, never to the storage', async () => {
  hub.token = 'mirror-token'; // not hf_…
  hub.pagesElsewhere = true;
  process.env.HF_TOKEN = 'mirror-token';
  await pull('hf:owner/models');
  delete process.env.HF_TOKEN;
  fs.writeFileSync(path.join(cache, 'token'), 'mirror-token\n');
  await pull('hf:owner/models:f32');
  const by = (where) => new Set(hub.requests.filter((q) => q.where === where).map((q) => q.authorization));
  expect(by('hub')).toEqual(new Set(['Bearer mirror-token']));
  expect(by('storage')).toEqual(new Set([undefined]));
  fs.rmSync(path.join(cache, 'token'));
  await expect(pull('hf:owner/models')).rejects.toMatchObject({ code: 'ERR_MODEL_ACCESS', message: expect.stringContaining('HF_TOKEN') });
});

test("a repository's only file, whatever its quant: from the cache without a question, too", async () => {
  hub.files.delete('tiny.Q8_0.gguf');
  const file = await pull('hf:owner/models');
  expect(path.basename(file)).toBe('tiny-f32.gguf');
  const asked = hub.requests.length;
  for (const offline of ['', '1']) {
    process.env.HF_HUB_OFFLINE = offline;
    const opened = await openGguf('hf:owner/models');
    expect(opened.info.path).toBe(file);
    await opened.close();
  }
  expect(hub.requests).toHaveLength(asked);
  hub.files.set('tiny.Q8_0.gguf', bytes); // another commit's may be another
  hub.commits.main = 'd'.repeat(40);
  process.env.HF_HUB_OFFLINE = '';
  expect(path.basename(await pull('hf:owner/models'))).toBe('tiny.Q8_0.gguf');
});

test('where links are not allowed the bytes are moved into the snapshot, and rm frees them', async () => {
  const refused = Object.assign(new Error('EPERM: operation not permitted, symlink'), { code: 'EPERM', syscall: 'symlink' });
  const spy = jest.spyOn(fs.promises, 'symlink').mockRejectedValue(refused);
  const file = await pull('hf:owner/models');
  await pull('hf:owner/models:f32');
  await pull('hf:owner/models');
  expect(hub.reads()).toHaveLength(2);
  expect(fs.lstatSync(file).size).toBe(bytes.length);
  expect(fs.readdirSync(inCache('blobs'))).toEqual([]);
  fs.truncateSync(file, 100); // as a program that copies into its place leaves it when it is killed
  expect(fs.readFileSync(await pull('hf:owner/models')).equals(bytes)).toBe(true);
  fs.writeFileSync(inCache('blobs', sha256(bytes)), bytes);
  const copied = await pull('hf:owner/models@v2'); // the blob may be another snapshot's
  expect(fs.readFileSync(copied).equals(bytes)).toBe(true);
  expect(fs.readdirSync(inCache('blobs'))).toEqual([sha256(bytes)]);
  spy.mockRestore();
  spawnSync(process.execPath, [cli, 'rm', 'hf:owner/models@main:q8_0'], { env: process.env });
  expect(fs.existsSync(file)).toBe(false);
});

test('pull of what is there writes nothing: the cache may be read-only', async () => {
  const file = await pull('hf:owner/models');
  const ref = fs.statSync(inCache('refs', 'main')).ino;
  fs.rmSync(path.join(cache, '.locks'), { recursive: true });
  fs.writeFileSync(path.join(cache, '.locks'), ''); // no lock can be made
  expect(await pull('hf:owner/models')).toBe(file);
  expect(fs.statSync(inCache('refs', 'main')).ino).toBe(ref);
});

test('a timeout beyond what a timer takes, a token with blanks around it', async () => {
  hub.token = 'mirror-token';
  Object.assign(process.env, { HF_HUB_DOWNLOAD_TIMEOUT: '1e9', HF_TOKEN: ' mirror-token\n' });
  await pull('hf:owner/models');
  expect(hub.reads()).toHaveLength(1);
});

test('revisions, and a branch that moved: the old bytes stay, the new ones come with pull', async () => {
  const first = await pull('hf:owner/models@v2');
  expect(first).toBe(inCache('snapshots', hub.commits.v2, 'tiny.Q8_0.gguf'));
  expect(await pull(`hf:owner/models@${hub.commits.main}:tiny.Q8_0.gguf`)).toBe(inCache('snapshots', hub.commits.main, 'tiny.Q8_0.gguf'));
  expect(hub.reads()).toHaveLength(1); // one blob, two links
  expect(fs.readdirSync(inCache('refs'))).toEqual(['v2']);
  hub.commits.v2 = 'd'.repeat(40);
  hub.files.set('tiny.Q8_0.gguf', other);
  expect(fs.readFileSync(await pull('hf:owner/models@v2')).equals(other)).toBe(true);
  expect(fs.readFileSync(first).equals(bytes)).toBe(true);
});

test('split files come whole', async () => {
  hub.files.set('big-Q4_0-00001-of-00002.gguf', other);
  hub.files.set('big-Q4_0-00002-of-00002.gguf', bytes);
  const progress = [];
  const first = await pull('hf:owner/models:Q4_0', { onProgress: (p) => progress.push(p) });
  expect(path.basename(first)).toBe('big-Q4_0-00001-of-00002.gguf');
  expect(fs.existsSync(path.join(path.dirname(first), 'big-Q4_0-00002-of-00002.gguf'))).toBe(true);
  expect(progress.at(-1)).toMatchObject({ loadedBytes: other.length + bytes.length, totalBytes: other.length + bytes.length });
  hub.files.delete('big-Q4_0-00002-of-00002.gguf');
  await expect(pull('hf:owner/models:Q4_0')).rejects.toMatchObject({
    code: 'ERR_MODEL_NAME',
    message: expect.stringContaining('00002-of-00002.gguf is missing'),
  });
});

test('processes that pull at once download once', async () => {
  hub.faults = [{ cut: 5000 }];
  const codes = await Promise.all(
    [1, 2, 3].map(() => {
      const child = spawn(process.execPath, [cli, 'pull', 'hf:owner/models'], { stdio: 'ignore', env: process.env });
      return new Promise((done) => child.on('exit', done));
    }),
  );
  expect(codes).toEqual([0, 0, 0]);
  expect(hub.reads()).toHaveLength(2); // the cut one and its rest
  expect(fs.readdirSync(path.join(cache, '.locks', 'models--owner--models'))).toEqual([]);
});

test('a lock whose owner died is taken over, one alive is waited for', async () => {
  const lock = path.join(cache, '.locks', 'models--owner--models', `${sha256(bytes)}.gguf-stream`);
  hub.faults = [{ stall: 5000 }];
  const child = spawn(process.execPath, [cli, 'pull', 'hf:owner/models'], { stdio: 'ignore', env: { ...process.env, HF_HUB_DOWNLOAD_TIMEOUT: '60' } });
  while (hub.reads().length === 0) await new Promise((done) => setTimeout(done, 20));
  await expect(pull('hf:owner/models', { signal: AbortSignal.timeout(500) })).rejects.toMatchObject({ name: 'TimeoutError' });
  expect(hub.reads()).toHaveLength(1);
  child.kill('SIGINT');
  await new Promise((done) => child.on('exit', done));
  expect(fs.existsSync(lock)).toBe(true);
  await pull('hf:owner/models');
  expect(hub.reads()).toHaveLength(2);
  // of another machine, and not touched for a minute
  fs.rmSync(inCache('blobs'), { recursive: true });
  fs.writeFileSync(lock, 'elsewhere\n1\n');
  const old = new Date(Date.now() - 60000);
  fs.utimesSync(lock, old, old);
  await pull('hf:owner/models');
  expect(fs.existsSync(lock)).toBe(false);
});

test('a lock that is taken over from a living owner: both finish, and the bytes are right', async () => {
  hub.faults = [{ stall: 5000 }];
  const slow = pull('hf:owner/models');
  while (!fs.existsSync(inCache('blobs')) || hub.reads().length === 0) await new Promise((done) => setTimeout(done, 20));
  const lock = path.join(cache, '.locks', 'models--owner--models', `${sha256(bytes)}.gguf-stream`);
  fs.writeFileSync(lock, `${os.hostname()}\n${2 ** 30}\n`); // as it looks from another container
  const file = await pull('hf:owner/models');
  expect(hub.reads()).toHaveLength(2);
  expect(await slow).toBe(file);
  expect(hub.reads()).toHaveLength(3);
  expect(sha256(fs.readFileSync(file))).toBe(sha256(bytes));
});

test('by a proxy that the environment names', async () => {
  const tunnels = [];
  const proxy = http.createServer().on('connect', (q, socket) => {
    tunnels.push(q.url);
    const [host, port] = q.url.split(':');
    const to = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      to.pipe(socket).pipe(to);
    });
    for (const s of [to, socket]) s.on('error', () => {});
  });
  await new Promise((done) => proxy.listen(0, '127.0.0.1', () => done(undefined)));
  process.env.HTTP_PROXY = `http://127.0.0.1:${proxy.address().port}`;
  await pull('hf:owner/models');
  expect(new Set(tunnels)).toEqual(new Set([hub.url, hub.storageUrl].map((u) => new URL(u).host)));
  for (const told of ['0', '1']) {
    // by Node itself or, where it has not learnt it, by undici
    tunnels.length = 0;
    const child = spawn(process.execPath, [cli, 'pull', 'hf:owner/models'], { stdio: 'ignore', env: { ...process.env, NODE_USE_ENV_PROXY: told } });
    expect(await new Promise((done) => child.on('exit', done))).toBe(0);
    expect(tunnels).toContain(new URL(hub.url).host);
  }
  proxy.closeAllConnections();
  await new Promise((done) => proxy.close(done));
});

test('close() ends a download', async () => {
  hub.faults = [{ stall: 5000 }];
  const e = loadEmbedder('hf:owner/models');
  const used = e.embed('x');
  e.once('progress', () => e.close());
  await expect(used).rejects.toMatchObject({ code: 'ERR_CLOSED' });
});

test('without @huggingface/hub the error says what to install; a cached model needs none', async () => {
  await pull('hf:owner/models');
  const script = `
    const resolve = require('module')._resolveFilename;
    require('module')._resolveFilename = function (name, ...rest) {
      if (name === '@huggingface/hub') throw Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' });
      return resolve.call(this, name, ...rest);
    };
    const { loadEmbedder } = require(${JSON.stringify(path.join(__dirname, '..'))});
    loadEmbedder('hf:owner/models').embed('x').then((v) => console.log(v.length))
      .then(() => loadEmbedder('hf:owner/models:f32').ready()).catch((e) => console.log(e.code, e.message));`;
  const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env: process.env });
  expect(stdout).toMatch(/^64\nERR_PACKAGE_MISSING .*npm install @huggingface\/hub/);
});

test('command line: pull, list, rm', async () => {
  const run = (...args) => {
    const child = spawn(process.execPath, [cli, ...args], { env: process.env });
    let out = '';
    let err = '';
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (err += d));
    return new Promise((done) => child.on('exit', (status) => done({ status, out, err })));
  };
  const pulled = await run('pull', 'hf:owner/models', 'hf:owner/models:f32');
  expect(pulled.out.trim().split('\n')).toEqual(['tiny.Q8_0.gguf', 'tiny-f32.gguf'].map((f) => inCache('snapshots', hub.commits.main, f)));
  expect((await run('embed', '-m', 'hf:owner/models', 'x')).out.split(' ')).toHaveLength(64);
  expect((await run('list')).out.match(/hf:\S+/g)).toEqual(['hf:owner/models@main:tiny-f32.gguf', 'hf:owner/models@main:tiny.Q8_0.gguf']);
  expect(JSON.parse((await run('list', '--json')).out)).toHaveLength(2);
  await run('rm', 'hf:owner/models:q8_0');
  expect(fs.readdirSync(inCache('blobs'))).toEqual([sha256(other)]);
  expect((await run('rm', 'hf:owner/models:q8_0')).status).toBe(2);
  await run('rm', 'hf:owner/models');
  expect(fs.existsSync(inCache())).toBe(false);
  expect(await run('pull', 'hf:nonsense')).toMatchObject({ status: 2, err: expect.stringContaining('ERR_MODEL_NAME') });
  for (const command of ['pull', 'rm']) {
    const unknown = await run(command, 'nomic-embed-v1.5');
    expect(unknown).toMatchObject({ status: 2, err: expect.stringContaining("did you mean 'nomic-embed-text-v1.5'?") });
    for (const name of Object.keys(shortNames)) expect(unknown.err).toContain(name);
  }
  expect(await run('pull', 'owner/models')).toMatchObject({ status: 2, err: expect.stringContaining("did you mean 'hf:owner/models'?") });
});

test('rm leaves what a link leads to outside of the repository: shared blobs of huggingface_hub, files of the user', async () => {
  const run = (name) => spawnSync(process.execPath, [cli, 'rm', '--json', name], { encoding: 'utf8', env: process.env });
  const shared = path.join(cache, 'blobs', 'ab', 'abcdef');
  const blob = inCache('blobs', sha256(bytes));
  const shown = (name) => inCache('snapshots', hub.commits.main, name);
  for (const file of [shared, blob, shown('m')]) fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(shared, bytes);
  fs.symlinkSync(path.relative(path.dirname(blob), shared), blob);
  fs.symlinkSync(path.relative(path.dirname(shown('m')), blob), shown('m.Q8_0.gguf'));
  fs.symlinkSync(shared, shown('m.Q4_0.gguf'));
  expect(JSON.parse(run('hf:owner/models:Q4_0').stdout).freedBytes).toBe(0);
  expect(fs.readFileSync(shown('m.Q8_0.gguf')).equals(bytes)).toBe(true);
  expect(JSON.parse(run('hf:owner/models').stdout).freedBytes).toBe(0);
  expect(fs.existsSync(inCache())).toBe(false);
  expect(fs.readFileSync(shared).equals(bytes)).toBe(true);
});

test('rm of a name whose file, not whose revision, has an @', async () => {
  hub.files.set('m@2.Q4_0.gguf', bytes);
  const file = await pull('hf:owner/models@v2:m@2.Q4_0.gguf');
  const { status } = spawnSync(process.execPath, [cli, 'rm', 'hf:owner/models:m@2.Q4_0.gguf'], { env: process.env });
  expect({ status, left: fs.existsSync(file) }).toEqual({ status: 0, left: false });
});

test('what is neither a file nor a name says what was meant', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'names-'));
  const file = path.join(folder, 'model'); // without an ending, as the blobs of the cache are
  fs.copyFileSync(path.join(__dirname, 'models', 'bert-tiny-mean.Q8_0.gguf'), file);
  await (await openGguf(file)).close();
  const url = 'https://huggingface.co/owner/models';
  for (const [name, advice] of [
    ['all-minilm-l6v2', "did you mean 'all-MiniLM-L6-v2'?"],
    ['minilm', "did you mean 'all-MiniLM-L6-v2'?"],
    ['Nomic-Embed-Txt-v1.5:Q4_K_M', "did you mean 'nomic-embed-text-v1.5:Q4_K_M'?"],
    ['owner/models', "did you mean 'hf:owner/models'?"],
    ['owner/models:Q4_K_M', "did you mean 'hf:owner/models:Q4_K_M'?"],
    [url, "did you mean 'hf:owner/models'?"],
    [`${url}/`, "did you mean 'hf:owner/models'?"],
    [`${url}/tree/v2`, "did you mean 'hf:owner/models@v2'?"],
    [`${url}/resolve/main/dir/m.gguf?download=true`, "did you mean 'hf:owner/models@main:dir/m.gguf'?"],
    [`${url}/blob/main/m.gguf`, "did you mean 'hf:owner/models@main:m.gguf'?"],
    ['~/model.gguf', 'the shell expands ~'],
    [path.join(folder, 'none'), 'neither a file nor a known name'],
  ]) {
    const expected = {
      code: 'ERR_FILE_OPEN',
      kind: 'io',
      field: 'path',
      message: expect.stringMatching(`^${name.replace(/[?.]/g, '\\$&')}: neither a file nor a known name`),
    };
    const opened = openGguf(name);
    await expect(opened).rejects.toMatchObject(expected);
    await expect(opened).rejects.toMatchObject({ message: expect.stringContaining(advice) });
  }
  await expect(openGguf('missing.gguf')).rejects.toMatchObject({ code: 'ERR_FILE_OPEN', message: expect.not.stringContaining('known name') });
  await expect(openGguf(folder)).rejects.toMatchObject({ code: 'ERR_FILE_OPEN', message: expect.stringContaining('no regular file') });
  fs.rmSync(folder, { recursive: true });
});

test('a relative path where the current folder was removed is a typed error, an absolute one works', () => {
  const code = `const g = require(${JSON.stringify(path.join(__dirname, '..'))}); const fs = require('node:fs');
    const gone = fs.mkdtempSync(${JSON.stringify(path.join(os.tmpdir(), 'gone-'))}); process.chdir(gone); fs.rmdirSync(gone);
    (async () => {
      const error = await g.loadEmbedder('m.gguf').ready().catch((e) => e);
      console.log(error instanceof g.GgufError, error.code, error.field);
      const file = await g.openGguf(${JSON.stringify(path.join(__dirname, 'models', 'bert-tiny-mean.Q8_0.gguf'))});
      await file.close();
    })();`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: 'true ERR_FILE_OPEN path\n', stderr: '' });
});

test('a path that ends in .gguf is not looked at before it is opened', async () => {
  const looked = jest.spyOn(fs.promises, 'stat');
  await (await openGguf(path.join(__dirname, 'models', 'bert-tiny-mean.Q8_0.gguf'))).close();
  await expect(openGguf('missing.gguf')).rejects.toMatchObject({ code: 'ERR_FILE_OPEN' });
  expect(looked).not.toHaveBeenCalled();
  looked.mockRestore();
});

test('names and files', () => {
  expect(parseReference('hf:o/r@refs/pr/1:dir/m.gguf')).toMatchObject({ repo: 'o/r', revision: 'refs/pr/1', file: 'dir/m.gguf' });
  expect(parseReference('nomic-embed-text-v1.5:Q4_K_M')).toMatchObject({ repo: shortNames['nomic-embed-text-v1.5'], revision: 'main', file: 'Q4_K_M' });
  expect(parseReference('ALL-minilm-L6-V2')).toMatchObject({ name: 'ALL-minilm-L6-V2', repo: shortNames['all-MiniLM-L6-v2'] });
  for (const p of ['./model.gguf', 'C:\\models\\a.gguf', 'constructor', 'all-MiniLM-L6-v2.gguf']) expect(parseReference(p)).toBeUndefined();
  for (const bad of ['hf:', 'hf:o', 'hf:o/r/x', 'hf:../r', 'hf:o/r@../../x', 'hf:o/r:../x.gguf', 'hf:o/r:/x.gguf', 'hf:o/r:a\\b.gguf', 'hf:o/r@'])
    expect(() => parseReference(bad)).toThrow(expect.objectContaining({ code: 'ERR_MODEL_NAME' }));
  const files = ['m-q4_k_m.gguf', 'm.Q4_K_S.gguf', 'm_fp16.gguf', 'm-Q8_0-00001-of-00002.gguf', 'm-Q8_0-00002-of-00002.gguf', 'N.Q6_K.GGUF', 'q8_0.txt'];
  expect(matching(files, 'Q4_K_M')).toEqual(['m-q4_k_m.gguf']);
  for (const quant of ['F16', 'FP16', 'fp16']) expect(matching(files, quant)).toEqual(['m_fp16.gguf']);
  expect(matching(files, 'q6_k')).toEqual(['N.Q6_K.GGUF']);
  expect(matching(files, undefined)).toEqual(['m-Q8_0-00001-of-00002.gguf']);
  expect(matching(files, '_K')).toEqual([]);
  for (const [name, repo] of Object.entries(shortNames)) expect(parseReference(name)).toMatchObject({ repo, revision: 'main' });
});
