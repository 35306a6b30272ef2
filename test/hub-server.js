// A Hugging Face hub on loopback: the API and the resolver on one port, the storage that it redirects to on another, as the
// real one has them on two hosts. Faults are set by the tests, each for the next answers of the storage.

const crypto = require('node:crypto');
const http = require('node:http');

/** @typedef {{ cut?: number, stall?: number, status?: number, flip?: number, ignoreRange?: boolean }} Fault */

const commits = { main: 'a'.repeat(40), v2: 'b'.repeat(40) };

const jsonTo =
  (r) =>
  (body, headers = {}) =>
    r.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

class Hub {
  /** The one that exists. */
  repo = 'owner/models';
  /** Bytes by path. @type {Map<string, Buffer>} */
  files = new Map();
  /** Paths that git holds itself, not LFS. */
  plain = new Set();
  commits = { ...commits };
  /** The token the private repository asks for. */
  token = '';
  /** @type {Fault[]} */
  faults = [];
  /** @type {{ where: 'hub' | 'storage', url: string, range: string | undefined, authorization: string | undefined }[]} */
  requests = [];
  pageSize = 2;
  /** Offers its chunk protocol (xet) to who says he speaks it, as the real hub does. */
  xet = false;
  /** The list's further pages lie on the other host. */
  pagesElsewhere = false;
  /** What the list claims of a path instead of the truth. @type {Map<string, object>} */
  lies = new Map();

  async listen() {
    this.api = http.createServer((q, r) => this.#answer(q, r));
    this.storage = http.createServer((q, r) => this.#store(q, r));
    for (const server of [this.api, this.storage]) await new Promise((done) => server.listen(0, '127.0.0.1', () => done(undefined)));
    this.url = `http://127.0.0.1:${this.api.address().port}`;
    this.storageUrl = `http://127.0.0.1:${this.storage.address().port}`;
    return this;
  }

  async close() {
    for (const server of [this.api, this.storage]) {
      server.closeAllConnections();
      if (server.listening) await new Promise((done) => server.close(done));
    }
  }

  /** Requests for bytes, but the client's probe of the first byte. */
  reads() {
    return this.requests.filter((q) => q.where === 'storage' && q.range !== 'bytes=0-0');
  }

  #note(where, q) {
    this.requests.push({ where, url: q.url, range: q.headers.range, authorization: q.headers.authorization });
  }

  #answer(q, r) {
    this.#note('hub', q);
    const url = new URL(q.url, this.url);
    const json = jsonTo(r);
    const refuse = (status, code) => r.writeHead(status, { 'x-error-code': code, 'content-type': 'application/json' }).end(JSON.stringify({ error: code }));
    const [, api, rest] = new RegExp(`^/(api/models/)?${this.repo}/(.+)$`).exec(url.pathname) ?? [];
    if (!rest) return refuse(401, 'RepoNotFound');
    if (this.token && q.headers.authorization !== `Bearer ${this.token}`) return refuse(401, 'GatedRepo');
    const info = api && /^revision\/(.+)$/.exec(rest);
    const tree = api && /^tree\//.test(rest);
    const file = !api && /^resolve\/[0-9a-f]+\/(.+)$/.exec(rest);
    if (info) {
      const sha = Object.hasOwn(this.commits, info[1]) ? this.commits[info[1]] : Object.values(this.commits).find((c) => c === info[1]);
      return sha ? json({ _id: '1', id: this.repo, lastModified: '2024-01-01', sha }) : refuse(404, 'RevisionNotFound');
    }
    if (tree) return this.#list(url, json);
    if (!file || !this.files.has(file[1])) return refuse(404, 'EntryNotFound');
    if (this.xet && q.headers.accept?.includes('xet-fileinfo')) {
      const link = ['xet-auth', 'xet-reconstruction-info'].map((rel) => `<${this.url}/${rel}>; rel="${rel}"`).join(', ');
      const size = this.files.get(file[1])?.length;
      return json({}, { 'content-type': 'application/vnd.xet-fileinfo+json', 'x-linked-size': size, 'x-linked-etag': '"x"', 'x-xet-hash': 'h', link });
    }
    r.writeHead(302, { location: `${this.storageUrl}/${file[1]}?signature=1`, 'x-linked-etag': '"x"' }).end();
  }

  #list(url, json) {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const entries = [...this.files].map(([path, bytes]) => {
      const header = this.plain.has(path) ? `blob ${bytes.length}\0` : '';
      const oid = crypto
        .createHash(header ? 'sha1' : 'sha256')
        .update(header)
        .update(bytes)
        .digest('hex');
      const entry = {
        type: 'file',
        path,
        size: bytes.length,
        oid: header ? oid : 'c'.repeat(40),
        ...(header ? {} : { lfs: { oid, size: bytes.length, pointerSize: 134 } }),
      };
      return { ...entry, ...this.lies.get(path) };
    });
    const next = from + this.pageSize < entries.length;
    url.searchParams.set('cursor', String(from + this.pageSize));
    const page = new URL(url.pathname + url.search, this.pagesElsewhere ? this.storageUrl : this.url);
    json(entries.slice(from, from + this.pageSize), next ? { link: `<${page.href}>; rel="next"` } : {});
  }

  #store(q, r) {
    this.#note('storage', q);
    if (q.url.startsWith('/api/')) return this.#list(new URL(q.url, this.url), jsonTo(r));
    const bytes = this.files.get(decodeURIComponent(new URL(q.url, this.storageUrl).pathname.slice(1)));
    const fault = q.headers.range === 'bytes=0-0' ? {} : (this.faults.shift() ?? {});
    if (fault.status) return r.writeHead(fault.status).end();
    const range = fault.ignoreRange ? null : /^bytes=(\d+)-(\d+)$/.exec(q.headers.range ?? '');
    const [from, to] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, bytes.length];
    const body = Buffer.from(bytes.subarray(from, to));
    if (fault.flip !== undefined) body[fault.flip] ^= 1;
    r.writeHead(range ? 206 : 200, {
      'content-length': body.length,
      etag: '"x"',
      'accept-ranges': 'bytes',
      ...(range && { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` }),
    });
    const most = fault.cut ?? fault.stall;
    if (most === undefined) return r.end(body);
    r.write(body.subarray(0, most), () => fault.cut !== undefined && setTimeout(() => r.destroy(), 20)); // else: silent from now on
  }
}

module.exports = { Hub };
