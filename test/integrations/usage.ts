// Compiled, never run: the adapters are what the frameworks' own types ask for.
import type { EmbeddingModelV3 } from '@ai-sdk/provider';
import type { EmbeddingModelV4 } from '@ai-sdk/provider-v4';
import type { EmbeddingsInterface } from '@langchain/core/embeddings';
import type { BaseEmbedding } from '@llamaindex/core/embeddings';
import { embedMany } from 'ai';
import { embedMany as embedMany7 } from 'ai-7';
import { embeddingModel } from '../../js/integrations/ai-sdk.js';
import { GgufStreamEmbeddings } from '../../js/integrations/langchain.js';
import { GgufStreamEmbedding } from '../../js/integrations/llamaindex.js';

export const langchain: EmbeddingsInterface = new GgufStreamEmbeddings('model.gguf');
export const llamaindex: BaseEmbedding = new GgufStreamEmbedding({ precision: 'fast' });
export const v3: EmbeddingModelV3 = embeddingModel('model.gguf');
export const v4: EmbeddingModelV4 = embeddingModel(undefined, { specificationVersion: 'v4' });
embedMany({ model: embeddingModel(), values: ['a'] });
embedMany7({ model: embeddingModel(), values: ['a'] });
embedMany7({ model: embeddingModel('model.gguf', { specificationVersion: 'v4' }), values: ['a'] });
// @ts-expect-error: ai 6 knows no v4
embedMany({ model: embeddingModel('model.gguf', { specificationVersion: 'v4' }), values: ['a'] });
// @ts-expect-error: no such option
new GgufStreamEmbeddings({ modle: 'x' });
