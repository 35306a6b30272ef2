import { BaseEmbedding } from '@llamaindex/core/embeddings';
import type { MessageContentDetail } from '@llamaindex/core/llms';
import type { Embedder, LoadOptions } from '../index.js';

/** A model as LlamaIndex.TS takes one: `Settings.embedModel = new GgufStreamEmbedding('nomic-embed-text-v1.5')`. */
export class GgufStreamEmbedding extends BaseEmbedding {
  constructor(model?: Embedder | string | LoadOptions);
  readonly embedder: Embedder;
  getTextEmbedding(text: string): Promise<number[]>;
  getQueryEmbedding(query: MessageContentDetail): Promise<number[] | null>;
}
