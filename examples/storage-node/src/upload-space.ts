import type { MetadataStore } from 'lodestore';
import { lowerOf, partNumberOf, rangeOf } from './ledger/keys.ts';
import { decodePart, decodeUpload } from './objects/upload-record.ts';

/** What incomplete uploads occupy until they are completed or aborted. */
export interface UploadSpace {
  /** Bytes of their parts, before compression. */
  readonly partBytes: number;
  /** When the oldest one was begun; absent if there is none. Milliseconds since 1970. */
  readonly oldestMs?: number;
}

/** Reads the record of each incomplete upload and of each part, in slices. */
export async function uploadSpaceOf(store: MetadataStore): Promise<UploadSpace> {
  let partBytes = 0;
  for await (const [key, record] of store.entries(rangeOf('part'))) {
    partBytes += decodePart(partNumberOf(key), record).info.sizeBytes;
  }
  let oldestMs = Infinity;
  for await (const [key, { data }] of store.entries(rangeOf('upload'))) {
    oldestMs = Math.min(oldestMs, decodeUpload(Number(lowerOf(key)), data).startedMs);
  }
  return { partBytes, ...(oldestMs < Infinity && { oldestMs }) };
}
