import { ByteReader, ByteWriter } from '../ledger/byte-writer.ts';

/** Extents that were written for one body, under its serial and the numbers from 0 on. */
export interface ExtentRun {
  readonly serial: number;
  readonly count: number;
  readonly sizeBytes: number;
}

/** The contents of an object with several extents: one run, or one per part. */
export function encodeContent(runs: readonly ExtentRun[]): Buffer {
  const writer = new ByteWriter(8 + 16 * runs.length).number(runs.length);
  for (const { serial, count, sizeBytes } of runs) {
    writer.number(serial).number(count).number(sizeBytes);
  }
  return writer.end();
}

export function decodeContent(data: Uint8Array): ExtentRun[] {
  const reader = new ByteReader(data);
  const runs: ExtentRun[] = [];
  for (let count = reader.number(); count > 0; count--) {
    runs.push({ serial: reader.number(), count: reader.number(), sizeBytes: reader.number() });
  }
  return runs;
}

/** The data of an extent's record; its value is the handle. */
export interface ExtentEntry {
  /** Bytes of the object in this extent. */
  readonly sizeBytes: number;
  /** Bytes as stored. */
  readonly bodyBytes: number;
  /** Length of its record. */
  readonly lengthBytes: number;
  readonly flags: number;
}

export function encodeExtent(extent: ExtentEntry): Buffer {
  return new ByteWriter(16)
    .number(extent.sizeBytes)
    .number(extent.lengthBytes / 8)
    .number(extent.bodyBytes)
    .byte(extent.flags)
    .end();
}

export function decodeExtent(data: Uint8Array): ExtentEntry {
  const reader = new ByteReader(data);
  const sizeBytes = reader.number();
  const lengthBytes = 8 * reader.number();
  return { sizeBytes, lengthBytes, bodyBytes: reader.number(), flags: reader.byte() };
}
