import {
  ancestorRows,
  decodeAncestorFrame,
  ZSTD_MAGIC,
  type AncestorFrameResult,
} from '../format/ancestor.ts';
import { countRows } from '../format/group-rows.ts';
import { FRAME_BATCHES, type FrameHeader } from '../format/frame.ts';
import type { FileWindow } from '../fs/file-window.ts';
import type { LogEnding, LogScan, LogScanOptions } from './log-report.ts';

const LENGTH_BYTES = 8;

/**
 * A frame header for a frame of the ancestor, which has none. Its batches have no sequence numbers.
 */
function headerOf(payloadBytes: number, rows: Uint8Array): FrameHeader {
  return {
    kind: FRAME_BATCHES,
    codec: 1,
    flags: 0,
    payloadBytes,
    decodedBytes: rows.length,
    sequence: 0n,
    batchCount: 1,
    recordCount: countRows(rows),
    chain: 0,
    payloadChecksum: 0,
    unprovenBytes: 0,
    checksum: 0,
  };
}

/** Reads a log of the ancestor. Only the length and the checksum of its frames can be checked. */
export async function scanAncestorLog(
  window: FileWindow,
  options: LogScanOptions,
): Promise<LogScan> {
  const bytes = await window.at(0, window.fileBytes);
  let offset = 0;
  let frameCount = 0;
  let recordCount = 0;
  let unprovenFrom: number | undefined;
  let ending: LogEnding | undefined;
  while (ending === undefined) {
    options.signal?.throwIfAborted();
    const result = decodeAncestorFrame(bytes, offset);
    if (result.kind !== 'frame') {
      ending = endingOf(bytes, offset, result);
      break;
    }
    for (const rows of rowsOf(result.payload)) {
      if (typeof rows === 'string') {
        ending = { kind: 'corrupt', offset, reason: rows };
        break;
      }
      const header = headerOf(result.payload.length, rows);
      recordCount += header.recordCount;
      options.onGroup?.(
        { rows, batchRecordCounts: Uint32Array.of(header.recordCount), hasIntervals: false },
        header,
        offset,
      );
    }
    if (ending !== undefined) break;
    unprovenFrom = offset;
    offset += result.lengthBytes;
    frameCount++;
    options.onProgress?.(offset);
  }
  return {
    number: options.number,
    fileBytes: window.fileBytes,
    format: 'ancestor',
    header: undefined,
    frameCount,
    batchCount: frameCount,
    recordCount,
    lastSequence: 0n,
    chain: 0,
    validBytes: offset,
    unprovenFrom,
    ending: ending ?? { kind: 'end' },
    pieces: 0,
  };
}

/** Yields the rows of a payload, then the reason as a string if it is invalid. */
export function* rowsOf(payload: Uint8Array): Generator<Uint8Array | string, void, void> {
  const pieces = ancestorRows(payload);
  for (;;) {
    const step = pieces.next();
    if (step.done === true) {
      if (step.value !== undefined) yield step.value;
      return;
    }
    yield step.value;
  }
}

function endingOf(
  bytes: Uint8Array,
  offset: number,
  result: Exclude<AncestorFrameResult, { kind: 'frame' }>,
): LogEnding {
  if (result.kind === 'end') return { kind: 'end' };
  const later = laterAncestorFrame(bytes, offset);
  return {
    kind: 'broken',
    offset,
    reason: result.reason,
    later: later < 0 ? { kind: 'none' } : { kind: 'frames', offset: later },
  };
}

/**
 * Offset of a valid frame after the broken one, found by the magic of its payload. -1 if there is
 * none.
 */
export function laterAncestorFrame(bytes: Uint8Array, offset: number): number {
  const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let from = offset + LENGTH_BYTES + 1; ;) {
    const payloadOffset = haystack.indexOf(ZSTD_MAGIC, from);
    if (payloadOffset < 0) return -1;
    const position = payloadOffset - LENGTH_BYTES;
    if (decodeAncestorFrame(bytes, position).kind === 'frame') return position;
    from = payloadOffset + 1;
  }
}
