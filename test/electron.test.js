// An application packed by Electron, in Node: JavaScript in app.asar (here a folder; in Electron an archive that only JavaScript can
// read), what was unpacked beside it, and process.versions.electron set.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { platforms, model, filesOf } = require('../js/platforms');
const { version } = require('../package.json');

const root = path.join(__dirname, '..');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gguf-'));
const archive = path.join(folder, 'app.asar');
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** A package whose index.js is in the archive, and whose files only beside it. @param {string} name @param {Record<string, string>} files from names to files of the checkout */
function packed(name, files) {
  const [inside, unpacked] = [archive, `${archive}.unpacked`].map((f) => path.join(f, 'node_modules', name));
  for (const f of [inside, unpacked]) fs.mkdirSync(f, { recursive: true });
  const members = Object.entries(files).map(([member, file]) => `${member}: require('node:path').join(__dirname, '${path.basename(file)}')`);
  fs.writeFileSync(path.join(inside, 'index.js'), `module.exports = { version: '${version}', ${members.join(', ')} };`);
  for (const file of Object.values(files)) fs.copyFileSync(path.join(root, file), path.join(unpacked, path.basename(file)));
}

test('the native files and the bundled model are found beside the archive', () => {
  for (const f of ['js', 'package.json']) fs.cpSync(path.join(root, f), path.join(archive, 'node_modules', 'gguf-stream', f), { recursive: true });
  for (const p of platforms.filter((x) => x.platform === process.platform && x.arch === process.arch)) {
    const { addon, library, process: core } = filesOf(p.platform);
    const native = (/** @type {string} */ f) => path.join('build', 'native', f);
    if (p.holds.includes('addon')) packed(p.package, { addon: native(addon), library: native(library), process: native(core) });
  }
  packed(model.package, { file: path.join('models', model.file) });
  const main = path.join(archive, 'main.js');
  fs.writeFileSync(
    main,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, electron: '45.0.0' } });
    const { loadEmbedder } = require('gguf-stream');
    (async () => {
      for (const isolation of ['auto', 'process']) {
        const e = loadEmbedder({ isolation });
        console.log(isolation, (await e.embed('a text')).length);
        await e.close();
      }
      console.log(Object.keys(require.cache).filter((f) => f.endsWith('.node')).join());
    })();`,
  );
  const addon = platforms.find((p) => p.platform === process.platform && p.arch === process.arch && p.holds.includes('addon'));
  const { GGUF_STREAM_BINARY: _, ...env } = process.env;
  const printed = execFileSync(process.execPath, [main], { encoding: 'utf8', env });
  expect(printed).toBe(`auto 384\nprocess 384\n${archive}.unpacked/node_modules/${addon?.package}/gguf_stream.node\n`);
});
