// Compiled, never run: the adapters are what the frameworks' own types ask for.
import type { EmbeddingModelV3 } from '@ai-sdk/provider';
import type { EmbeddingModelV4 } from '@ai-sdk/provider-v4';
import type { EmbeddingsInterface } from '@langchain/core/embeddings';
import type { BaseEmbedding } from '@llamaindex/core/embeddings';
import { embeddingModel } from '../../js/integrations/ai-sdk.js';
import { GgufStreamEmbeddings } from '../../js/integrations/langchain.js';
import { GgufStreamEmbedding } from '../../js/integrations/llamaindex.js';

export const langchain: EmbeddingsInterface = new GgufStreamEmbeddings('model.gguf');
export const llamaindex: BaseEmbedding = new GgufStreamEmbedding({ precision: 'fast' });
export const v3: EmbeddingModelV3 = embeddingModel('model.gguf');
export const v4: EmbeddingModelV4 = embeddingModel(undefined, { specificationVersion: 'v4' });
// @ts-expect-error: no such option
new GgufStreamEmbeddings({ modle: 'x' });
