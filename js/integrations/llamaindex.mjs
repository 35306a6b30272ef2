import { BaseEmbedding } from '@llamaindex/core/embeddings';
import { classOver } from './llamaindex-class.js';

export const GgufStreamEmbedding = classOver(BaseEmbedding);
