import type { ObjectMeta, PartInfo } from '../object-node.ts';
import { ByteReader, ByteWriter } from '../ledger/byte-writer.ts';

/** A multipart upload that was started. */
export interface Upload {
  readonly serial: number;
  readonly bucketId: number;
  readonly name: string;
  readonly startedMs: number;
  readonly meta: ObjectMeta;
}

export function encodeUpload(upload: Upload): Buffer {
  return new ByteWriter(256)
    .number(upload.bucketId)
    .number(upload.startedMs)
    .text(upload.name)
    .text(JSON.stringify(upload.meta))
    .end();
}

export function decodeUpload(serial: number, data: Uint8Array): Upload {
  const reader = new ByteReader(data);
  return {
    serial,
    bucketId: reader.number(),
    startedMs: reader.number(),
    name: reader.text(),
    meta: JSON.parse(reader.text()) as ObjectMeta,
  };
}

/** A part of an incomplete upload. */
export interface Part {
  readonly info: PartInfo;
  /** Serial of its extents. */
  readonly serial: number;
  readonly extents: number;
}

export function encodePart({ info, extents }: Part): Buffer {
  return new ByteWriter(128)
    .number(info.sizeBytes)
    .number(info.modifiedMs)
    .number(extents)
    .text(info.etag)
    .text(info.checksums === undefined ? '' : JSON.stringify(info.checksums))
    .end();
}

export function decodePart(
  number: number,
  record: { readonly value: bigint; readonly data: Uint8Array },
): Part {
  const reader = new ByteReader(record.data);
  const sizeBytes = reader.number();
  const modifiedMs = reader.number();
  const extents = reader.number();
  const etag = reader.text();
  const checksums = reader.text();
  const info = {
    number,
    sizeBytes,
    modifiedMs,
    etag,
    ...(checksums !== '' && { checksums: JSON.parse(checksums) as Record<string, string> }),
  };
  return { info, serial: Number(record.value), extents };
}
