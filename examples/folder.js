// Reads a folder of text files as passages: what the examples share.

const fs = require('node:fs');
const path = require('node:path');

/** The paragraphs of all .txt files of a folder. @param {string} folder @returns {{ file: string, text: string }[]} */
function passagesOf(folder) {
  const files = fs.readdirSync(folder).filter((f) => f.endsWith('.txt'));
  return files.flatMap((file) => {
    const paragraphs = fs.readFileSync(path.join(folder, file), 'utf8').split(/\n\s*\n/);
    return paragraphs.filter((p) => p.trim()).map((p) => ({ file, text: p.trim() }));
  });
}

/** The folder and the question of the command line. */
function commandLine() {
  const [folder = path.join(__dirname, 'texts'), ...words] = process.argv.slice(2);
  return { folder, question: words.join(' ') || 'Why do my brakes make noise?' };
}

module.exports = { commandLine, passagesOf };
