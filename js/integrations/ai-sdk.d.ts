import type { Embedder, LoadOptions } from '../index.js';

/** A warning of the SDK: a text that was cut, or dimensions that the model was not trained for. */
export type Warning = { type: 'other'; message: string } | { type: 'compatibility'; feature: string; details?: string };

/** What the SDK calls; its types EmbeddingModelV3 and EmbeddingModelV4 are this shape. */
export interface GgufStreamEmbeddingModel<Version extends 'v3' | 'v4'> {
  readonly specificationVersion: Version;
  readonly provider: 'gguf-stream';
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  readonly embedder: Embedder;
  doEmbed(options: {
    values: string[];
    abortSignal?: AbortSignal;
    /** `{ 'gguf-stream': { task: 'query' } }`: any option of a call but output, ranges and bitOrder. */
    providerOptions?: Record<string, Record<string, any>>;
    headers?: Record<string, string | undefined>;
    dimensions?: number;
  }): Promise<{ embeddings: number[][]; usage: { tokens: number }; warnings: Warning[] }>;
}

/**
 * A model for embed() and embedMany() of the Vercel AI SDK 6 and 7. `specificationVersion: 'v4'` (ai 7) takes the SDK's option
 * `dimensions` too.
 */
export function embeddingModel(model?: Embedder | string | LoadOptions, settings?: { specificationVersion?: 'v3' }): GgufStreamEmbeddingModel<'v3'>;
export function embeddingModel(
  model: Embedder | string | LoadOptions | undefined,
  settings: { specificationVersion: 'v4' },
): GgufStreamEmbeddingModel<'v4'>;
