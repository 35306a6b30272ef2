// Indexes a folder of text files in a usearch graph (HNSW) of int8 vectors and answers a question.
//   npm install usearch
//   node examples/usearch.js [FOLDER QUESTION]

const { Index } = require('usearch');
const { loadEmbedder } = require('gguf-stream');
const { commandLine, passagesOf } = require('./folder');

async function main() {
  const { folder, question } = commandLine();
  const passages = passagesOf(folder);
  const embedder = loadEmbedder();
  const vectors = await embedder.embedMany(
    passages.map((p) => p.text),
    { task: 'document', matrix: true },
  );

  const index = new Index({ metric: 'cos', dimensions: vectors.length / passages.length, quantization: 'i8' });
  index.add(
    BigUint64Array.from(passages, (_, i) => BigInt(i)),
    vectors,
  );

  const { keys, distances } = index.search(await embedder.embed(question, { task: 'query' }), 3, 1);
  keys.forEach((key, i) => {
    const { file, text } = passages[Number(key)];
    console.log(`${(1 - distances[i]).toFixed(3)}  ${file}  ${text}`);
  });
  await embedder.close();
}

main();
