import { ByteReader, ByteWriter } from './byte-writer.ts';
import { keyOf, lowerOf, rangeOf } from './keys.ts';

/** A deletion, or a record that was refused; see `objects/marks.ts`. */
export interface Mark {
  readonly kind: 'tombstone' | 'void';
  readonly bucketId: number;
  /** UTF-8; empty for the bucket itself. */
  readonly name: Uint8Array;
  /** No other mark has it. */
  readonly sequence: number;
  /** Sequence of the void record; 0 for a tombstone. */
  readonly voided: number;
  /** The highest volume that may contain what the mark is about. */
  readonly volume: number;
}

/** Marks that could not be written to a volume. */
export const KEPT_MARKS = rangeOf('mark');

export function markKey({ sequence }: Mark): bigint {
  return keyOf('mark', sequence);
}

export function encodeMark({ kind, bucketId, voided, volume, name }: Mark): Buffer {
  return new ByteWriter(32 + name.length)
    .byte(kind === 'void' ? 1 : 0)
    .number(bucketId)
    .number(voided)
    .number(volume)
    .bytes(name)
    .end();
}

export function decodeMark(key: bigint, data: Uint8Array): Mark {
  const reader = new ByteReader(data);
  return {
    sequence: Number(lowerOf(key)),
    kind: reader.byte() === 1 ? 'void' : 'tombstone',
    bucketId: reader.number(),
    voided: reader.number(),
    volume: reader.number(),
    name: Uint8Array.from(reader.rest()),
  };
}
