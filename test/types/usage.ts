// Compiled, never run: what users write must type-check, and what is wrong must not.
import { type CallOptions, calibrate, type Details, type Embedder, type EmbedManyOptions, GgufError, loadEmbedder, openGguf, quantize, similarity } from '../../js/index.js';

export async function usage(): Promise<void> {
  const e: Embedder = loadEmbedder({ precision: 'fast', memoryLimit: 1e9, task: 'query' });
  const v: Float32Array = await e.embed('text', { dimensions: 64 });
  const d: Details = await e.embed('text', { details: true });
  const many: Float32Array[] = await e.embedMany(['a', 'b']);
  const matrix: Float32Array = await e.embedMany(['a'], { output: 'matrix' });
  for await (const x of e.embedStream(['a'])) similarity(x, v);
  const bits: Int8Array = await e.embed('text', { output: 'binary' });
  const codes: Uint8Array = await e.embedMany(['a'], { output: 'uint8', matrix: true, ranges: calibrate(many) });
  const scaled: Details<Int8Array>[] = await e.embedMany(['a'], { output: 'int8', details: true });
  const named: Float32Array[] = await e.embedMany(['a'], { output: 'vectors' });
  const whole: Float32Array = await e.embedMany(['a'], { output: 'vectors', matrix: true });
  const one = async (o: CallOptions): Promise<boolean> => 'vector' in (await e.embed('a', o));
  const all = async (o: EmbedManyOptions): Promise<number> => {
    const r = await e.embedMany(['a'], o);
    return Array.isArray(r) ? r.length : r.byteLength;
  };
  const asked = async (details: boolean): Promise<Float32Array | Details> => e.embed('a', { details });
  const given = [await e.embed('text'), await e.embedMany(['a'], { matrix: true })];
  new MessageChannel().port1.postMessage(given, [given[0].buffer, given[1].buffer]);
  const other = loadEmbedder(new URL('file:///model.gguf'));
  const same: Int8Array = quantize(v, 'binary');
  const ids: Uint32Array = await e.tokenize('text');
  const layers: number | undefined = e.info?.layers;
  e.on('progress', (p) => p.loadedBytes + p.totalBytes);
  const file = await openGguf('model.gguf');
  for await (const [key, value] of file) console.log(key, value);
  await file.close();
  try {
    await e.close();
  } catch (error) {
    if (error instanceof GgufError && error.code === 'ERR_CLOSED') console.log(error.offset, d, many, matrix, ids, layers, bits, codes, scaled, same, named, one, all, asked, other);
  }
  similarity(scaled[0].vector, scaled[0].vector);
  // @ts-expect-error: uint8's codes have their zero elsewhere, so that their cosine means nothing; a call of it must not compile
  similarity(codes, codes);
  // @ts-expect-error: no such precision
  loadEmbedder({ precision: 'half' });
  // @ts-expect-error: a text is a string
  await e.embed(42);
  // @ts-expect-error: no such option
  await e.embed('x', { dimension: 3 });
  // @ts-expect-error: no such code
  new GgufError({ code: 'x', kind: 'io', message: 'm' }).code === 'ERR_NOTHING';
}
