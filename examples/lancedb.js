// Indexes a folder of text files in LanceDB and answers a question.
//   npm install @lancedb/lancedb apache-arrow@18
//   node examples/lancedb.js [FOLDER QUESTION]

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const lancedb = require('@lancedb/lancedb');
const { loadEmbedder } = require('gguf-stream');
const { commandLine, passagesOf } = require('./folder');

async function main() {
  const { folder, question } = commandLine();
  const passages = passagesOf(folder);
  const embedder = loadEmbedder();
  const vectors = await embedder.embedMany(
    passages.map((p) => p.text),
    { task: 'document' },
  );

  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'lancedb-')); // yours would stay
  const db = await lancedb.connect(place);
  const table = await db.createTable(
    'passages',
    passages.map((p, i) => ({ ...p, vector: vectors[i] })),
  );

  const query = await embedder.embed(question, { task: 'query' });
  const rows = await table.query().nearestTo(query).distanceType('cosine').limit(3).toArray();
  for (const { file, text, _distance } of rows) console.log(`${(1 - _distance).toFixed(3)}  ${file}  ${text}`);
  db.close();
  fs.rmSync(place, { recursive: true });
  await embedder.close();
}

main();
