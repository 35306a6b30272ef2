// The examples of README.md and docs/: what stands in a ```js fence is run as a module, what stands in a ```sh fence of docs/ by bash,
// and a ```text fence after it is what it must print. ```js integrations needs the packages of test/integrations. Other
// fences (```bash: installing) are shown only.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { Hub } = require('./hub-server');

const root = path.join(__dirname, '..');
const models = path.join(__dirname, 'models');

/** @typedef {{ name: string, language: string, code: string, prints: string | undefined }} Example */

/** @param {string} file @returns {Example[]} */
function examplesOf(file) {
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  const fences = [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)];
  return fences.flatMap((fence, i) => {
    const language = fence[1];
    const isRun = language.startsWith('js') || (language === 'sh' && file !== 'README.md'); // README's are CI's two commands
    if (!isRun) return [];
    const line = text.slice(0, fence.index).split('\n').length;
    const next = fences[i + 1];
    return [{ name: `${file}:${line}`, language, code: fence[2], prints: next?.[1] === 'text' ? next[2] : undefined }];
  });
}

/** All examples of a language. @param {string} language */
function examples(language) {
  const documents = ['README.md', ...fs.readdirSync(path.join(root, 'docs')).map((f) => `docs/${f}`)].filter((f) => f.endsWith('.md'));
  return documents.flatMap(examplesOf).filter((e) => e.language === language);
}

const electron = `
export const app = { whenReady: async () => {}, on: (event, f) => setTimeout(f, 1000) };
export const ipcMain = { handle: async (name, f) => console.log(name, (await f({}, ['a text'])).length) };
`;

/** A folder inside the project (where 'gguf-stream' is the project itself) with what the examples speak of, and a hub. */
class Place {
  /** @param {string} name */
  constructor(name) {
    this.folder = path.join(root, 'build', name);
    this.hub = new Hub();
  }

  async open() {
    fs.rmSync(this.folder, { recursive: true, force: true });
    for (const f of ['bin', 'node_modules/electron', 'notes']) fs.mkdirSync(path.join(this.folder, f), { recursive: true });
    const write = (/** @type {string} */ name, /** @type {string} */ text, mode = 0o644) => fs.writeFileSync(path.join(this.folder, name), text, { mode });
    write('bin/gguf-stream', `#!/bin/sh\nexec "${process.execPath}" "${path.join(root, 'js', 'cli.js')}" "$@"\n`, 0o755);
    write('node_modules/electron/index.js', electron);
    write('node_modules/electron/package.json', '{"type":"module","main":"index.js"}');
    write('texts.txt', 'a first text\na second text\n');
    for (const f of fs.readdirSync(path.join(root, 'examples', 'texts')))
      fs.copyFileSync(path.join(root, 'examples', 'texts', f), path.join(this.folder, 'notes', f));
    fs.copyFileSync(path.join(models, 'bert-tiny-mean.Q8_0.gguf'), path.join(this.folder, 'model.gguf'));
    this.hub.repo = 'nomic-ai/nomic-embed-text-v1.5-GGUF';
    for (const quant of ['Q8_0', 'Q4_K_M'])
      this.hub.files.set(`nomic-embed-text-v1.5.${quant}.gguf`, fs.readFileSync(path.join(models, 'nomic-tiny-mean.gguf')));
    await this.hub.listen();
    return this;
  }

  /** @param {Example} example @param {Record<string, string>} [more] @returns {Promise<{ status: number, out: string, err: string }>} */
  run({ language, code }, more) {
    const env = {
      ...process.env,
      PATH: `${path.join(this.folder, 'bin')}:${process.env.PATH}`,
      HF_ENDPOINT: this.hub.url,
      HF_HUB_CACHE: path.join(this.folder, 'cache'),
      ...more,
    };
    const file = path.join(this.folder, `example.${language === 'sh' ? 'sh' : 'mjs'}`);
    fs.writeFileSync(file, code);
    const child = spawn(language === 'sh' ? 'bash' : process.execPath, language === 'sh' ? ['-e', file] : [file], { cwd: this.folder, env });
    let out = '';
    let err = '';
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (err += d));
    return new Promise((done) => child.on('close', (status) => done({ status: status ?? -1, out, err })));
  }

  async close() {
    await this.hub.close();
    fs.rmSync(this.folder, { recursive: true });
  }
}

module.exports = { Place, examples };
