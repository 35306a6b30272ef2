// Indexes a folder of text files in SQLite with sqlite-vec and answers a question.
//   npm install libsql sqlite-vec     (better-sqlite3 has the same calls)
//   node examples/sqlite-vec.js [FOLDER QUESTION]

const Database = require('libsql');
const sqliteVec = require('sqlite-vec');
const { loadEmbedder } = require('gguf-stream');
const { commandLine, passagesOf } = require('./folder');

/** A vector as SQLite stores it: its bytes. @param {ArrayBufferView} v */
const blob = (v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength);

async function main() {
  const { folder, question } = commandLine();
  const passages = passagesOf(folder);
  const embedder = loadEmbedder();
  const vectors = await embedder.embedMany(
    passages.map((p) => p.text),
    { task: 'document' },
  );

  const db = new Database(':memory:'); // or a file
  db.loadExtension(sqliteVec.getLoadablePath());
  db.exec(`create virtual table passages using vec0(vector float[${vectors[0].length}], +file text, +text text)`);
  const insert = db.prepare('insert into passages(rowid, vector, file, text) values (?, ?, ?, ?)');
  db.transaction(() => {
    for (const [i, { file, text }] of passages.entries()) insert.run(BigInt(i), blob(vectors[i]), file, text);
  })();

  const query = await embedder.embed(question, { task: 'query' });
  const rows = db.prepare('select file, text, distance from passages where vector match ? and k = ?').all(blob(query), 3);
  // of vectors of length 1: cosine = 1 − distance² / 2
  for (const { file, text, distance } of rows) console.log(`${(1 - distance ** 2 / 2).toFixed(3)}  ${file}  ${text}`);
  db.close();
  await embedder.close();
}

main();
