// Indexes a folder of text files in memory and answers a question; no other package. For some ten thousand passages this is enough.
//   node examples/memory.js [FOLDER QUESTION]

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
  const query = await embedder.embed(question, { task: 'query' });
  const scored = passages.map((p, i) => ({ ...p, score: embedder.similarity(query, vectors[i]) }));
  scored.sort((a, b) => b.score - a.score);
  for (const { score, file, text } of scored.slice(0, 3)) console.log(`${score.toFixed(3)}  ${file}  ${text}`);
  await embedder.close();
}

main();
