#!/usr/bin/env node
// The README's first command ends here: real embeddings and their similarities from the bundled model.

const { loadEmbedder, kernels } = require('..');

async function main() {
  const texts = ['How do I bake bread at home?', 'A recipe for a sourdough loaf', 'The stock market fell today', 'Shares lost value on Tuesday'];
  const embedder = loadEmbedder();
  const vectors = await embedder.embedMany(texts);
  for (const [i, v] of vectors.entries()) console.log(`[${Array.from(v.slice(0, 4), (x) => x.toFixed(4)).join(', ')}, … ${v.length} values]  ${texts[i]}`);
  console.log();
  for (let i = 0; i < texts.length; i++)
    for (let j = i + 1; j < texts.length; j++) console.log(`${embedder.similarity(vectors[i], vectors[j]).toFixed(4)}  ${texts[i]}  |  ${texts[j]}`);
  const { name, layers, hiddenSize } = embedder.info;
  console.log(`\n${name}: ${layers} layers, ${hiddenSize} dimensions, kernels ${kernels().selected}`);
  await embedder.close();
}

main();
