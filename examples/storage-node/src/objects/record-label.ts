import type { ObjectMeta, PartInfo } from '../object-node.ts';

/** The JSON between name and body in an object's record. */
export interface RecordLabel {
  readonly etag: string;
  readonly meta: ObjectMeta;
  readonly uploadId?: string | undefined;
  readonly parts?: readonly PartInfo[] | undefined;
}

interface Stored {
  readonly e: string;
  readonly h?: ObjectMeta['headers'];
  readonly t?: ObjectMeta['tags'];
  readonly c?: ObjectMeta['checksums'];
  readonly y?: ObjectMeta['checksumType'];
  readonly u?: string;
  readonly p?: readonly PartInfo[];
}

function isFilled(fields: object | undefined): boolean {
  return fields !== undefined && Object.keys(fields).length > 0;
}

export function encodeLabel({ etag, meta, uploadId, parts }: RecordLabel): Buffer {
  const stored: Stored = {
    e: etag,
    ...(isFilled(meta.headers) && { h: meta.headers }),
    ...(meta.tags !== undefined && { t: meta.tags }),
    ...(meta.checksums !== undefined && { c: meta.checksums }),
    ...(meta.checksumType !== undefined && { y: meta.checksumType }),
    ...(uploadId !== undefined && { u: uploadId }),
    ...(parts !== undefined && { p: parts }),
  };
  return Buffer.from(JSON.stringify(stored), 'utf8');
}

export function decodeLabel(bytes: Buffer): RecordLabel {
  const stored = JSON.parse(bytes.toString('utf8')) as Stored;
  return {
    etag: stored.e,
    meta: decodeMeta(stored),
    ...(stored.u !== undefined && { uploadId: stored.u }),
    ...(stored.p !== undefined && { parts: stored.p }),
  };
}

function decodeMeta(stored: Pick<Stored, 'h' | 't' | 'c' | 'y'>): ObjectMeta {
  return {
    headers: stored.h ?? {},
    ...(stored.t !== undefined && { tags: stored.t }),
    ...(stored.c !== undefined && { checksums: stored.c }),
    ...(stored.y !== undefined && { checksumType: stored.y }),
  };
}
