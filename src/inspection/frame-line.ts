import { CODEC_ZSTD } from '../format/compression.ts';
import {
  FRAME_BATCHES,
  FRAME_CHUNK,
  FRAME_HEADER_BYTES,
  FRAME_INDEX,
  FRAME_SEAL,
  type FrameHeader,
} from '../format/frame.ts';
import type { LogScan } from '../log/log-report.ts';

/**
 * One line of `inspect --frames`. Fields that a frame kind, or the ancestor's format, does not have
 * are undefined.
 */
export interface FrameLine {
  readonly offset: number;
  readonly kind: string;
  readonly codec: 'raw' | 'zstd';
  readonly payloadBytes: number;
  readonly decodedBytes: number;
  readonly firstSequence: bigint | undefined;
  readonly batches: number | undefined;
  readonly records: number | undefined;
  readonly checksum: number | undefined;
  /** The frame is valid, but invalid bytes precede it. */
  readonly isBehindDamage: boolean;
}

const KIND_NAMES = new Map([
  [FRAME_BATCHES, 'batches'],
  [FRAME_SEAL, 'seal'],
  [FRAME_CHUNK, 'chunk'],
  [FRAME_INDEX, 'index'],
]);

/** The line of a frame in lodestore's format. */
export function frameLine(header: FrameHeader, offset: number, isBehindDamage: boolean): FrameLine {
  const isGroup = header.kind === FRAME_BATCHES;
  const holdsRecords = isGroup || header.kind === FRAME_CHUNK;
  return {
    offset,
    kind: KIND_NAMES.get(header.kind) ?? `kind ${header.kind}`,
    codec: header.codec === CODEC_ZSTD ? 'zstd' : 'raw',
    payloadBytes: header.payloadBytes,
    decodedBytes: header.decodedBytes,
    firstSequence: isGroup ? header.sequence : undefined,
    batches: isGroup ? header.batchCount : undefined,
    records: holdsRecords ? header.recordCount : undefined,
    checksum: header.checksum,
    isBehindDamage,
  };
}

/** The line of an ancestor's frame, accumulated over the pieces of `rows` read so far. */
export function ancestorFrameLine(
  header: Pick<FrameHeader, 'payloadBytes' | 'decodedBytes' | 'recordCount'>,
  offset: number,
  before: FrameLine | undefined,
): FrameLine {
  const continued = before?.offset === offset ? before : undefined;
  return {
    offset,
    kind: 'batches',
    codec: 'zstd',
    payloadBytes: header.payloadBytes,
    decodedBytes: header.decodedBytes + (continued?.decodedBytes ?? 0),
    firstSequence: undefined,
    batches: 1,
    records: header.recordCount + (continued?.records ?? 0),
    checksum: undefined,
    isBehindDamage: false,
  };
}

/** The line of the seal that ended a scan. Only its position and its checksum vary. */
export function sealLine(scan: LogScan): FrameLine | undefined {
  if (scan.ending.kind !== 'sealed') return undefined;
  return {
    offset: scan.validBytes - FRAME_HEADER_BYTES,
    kind: 'seal',
    codec: 'raw',
    payloadBytes: 0,
    decodedBytes: 0,
    firstSequence: undefined,
    batches: undefined,
    records: undefined,
    checksum: scan.chain,
    isBehindDamage: false,
  };
}
