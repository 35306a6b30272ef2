import { Embeddings } from '@langchain/core/embeddings';
import type { Embedder, LoadOptions } from '../index.js';

/** A model as LangChain.js takes one: `new GgufStreamEmbeddings('nomic-embed-text-v1.5')`, or over an embedder that you share. */
export class GgufStreamEmbeddings extends Embeddings {
  constructor(model?: Embedder | string | LoadOptions);
  readonly embedder: Embedder;
  embedDocuments(documents: string[]): Promise<number[][]>;
  embedQuery(query: string): Promise<number[]>;
}
