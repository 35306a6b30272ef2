import { Embeddings } from '@langchain/core/embeddings';
import { classOver } from './langchain-class.js';

export const GgufStreamEmbeddings = classOver(Embeddings);
