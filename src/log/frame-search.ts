import type { ChecksumSeed } from '../format/checksum.ts';
import {
  decodeFrameHeader,
  decodePayload,
  FLAG_PIGGYBACKED,
  FRAME_BATCHES,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_SEAL,
  isFrameHeader,
  type FrameHeader,
} from '../format/frame.ts';
import type { FileWindow } from '../fs/file-window.ts';
import type { LaterFrames } from './log-report.ts';

/**
 * Offset of the first frame header of this file in [from, to), or undefined. Checksums are seeded
 * with store, file and offset, so no other bytes are taken for a header.
 */
export async function findFrameHeader(
  window: FileWindow,
  seed: ChecksumSeed,
  from: number,
  to: number = window.fileBytes,
): Promise<number | undefined> {
  let position = from;
  while (position < to) {
    const head = await window.at(position, FRAME_HEADER_BYTES);
    if (head.length < FRAME_HEADER_BYTES) return undefined;
    if (isFrameHeader(head, 0, seed, position)) return position;
    const bytes = await window.some(position);
    const next = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(FRAME_MAGIC, 1);
    // The last bytes may be the start of a magic.
    position += next < 0 ? bytes.length - FRAME_MAGIC.length + 1 : next;
  }
  return undefined;
}

/** A frame that is valid by itself, regardless of the bytes before it. */
export interface FoundFrame {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly header: FrameHeader;
  /** Valid until the next frame is requested. */
  readonly payload: Uint8Array;
}

/**
 * Yields all frames from offset `from` on with valid header and payload, in order. Skips all other
 * bytes.
 */
export async function* findFrames(
  window: FileWindow,
  seed: ChecksumSeed,
  from: number,
): AsyncGenerator<FoundFrame, void, void> {
  let position = from;
  for (;;) {
    const offset = await findFrameHeader(window, seed, position);
    if (offset === undefined) return;
    const frame = await frameAt(window, seed, offset);
    if (frame !== undefined) yield frame;
    position = offset + (frame?.lengthBytes ?? 1);
  }
}

async function frameAt(
  window: FileWindow,
  seed: ChecksumSeed,
  offset: number,
): Promise<FoundFrame | undefined> {
  const head = await window.at(offset, FRAME_HEADER_BYTES);
  const result = decodeFrameHeader(head, 0, seed, offset);
  if (result.kind !== 'frame') return undefined;
  const { header } = result;
  const payloadOffset = offset + FRAME_HEADER_BYTES;
  const stored = await window.at(payloadOffset, header.payloadBytes);
  if (stored.length < header.payloadBytes) return undefined;
  const payload = decodePayload(stored, header, seed, payloadOffset);
  if (payload.kind !== 'payload') return undefined;
  const lengthBytes = FRAME_HEADER_BYTES + header.payloadBytes;
  return { offset, lengthBytes, header, payload: payload.bytes };
}

/**
 * Searches for frame headers after `offset`, where something broken begins. After a broken file
 * header, the first frame counts too: both headers are in one sector, which a torn write leaves
 * whole or not at all. `frameCount` is the number of frames in the log if exactly one is broken.
 * Without a seed no frame can be recognized.
 */
export async function findLaterFrames(
  window: FileWindow,
  offset: number,
  seed: ChecksumSeed | undefined,
  frameCount: number,
): Promise<LaterFrames> {
  let found: LaterFrames = { kind: 'none' };
  if (seed === undefined) return found;
  for (let from = offset + 1; ;) {
    const position = await findFrameHeader(window, seed, from);
    if (position === undefined) return found;
    const head = await window.at(position, FRAME_HEADER_BYTES);
    const result = decodeFrameHeader(head, 0, seed, position);
    const proof = { kind: 'frames' as const, offset: position };
    if (result.kind !== 'frame' || found.kind === 'piggybacked-seal') return proof;
    const { header } = result;
    if (isUnsynced(header, position, offset)) {
      const lastSequence = header.sequence + BigInt(header.batchCount) - 1n;
      const first: number = found.kind === 'unsynced' ? found.offset : position;
      found = { kind: 'unsynced', offset: first, lastSequence };
    } else if (found.kind === 'none' && isPiggybackedSeal(header, frameCount)) {
      found = { kind: 'piggybacked-seal', offset: position };
    } else return proof;
    from = position + 1;
  }
}

/** Whether a group was written before the bytes at `brokenAt` were known to be synced. */
function isUnsynced(header: FrameHeader, position: number, brokenAt: number): boolean {
  return header.kind === FRAME_BATCHES && position - header.unprovenBytes <= brokenAt;
}

function isPiggybackedSeal(header: FrameHeader, frameCount: number): boolean {
  const { kind, flags, recordCount } = header;
  return kind === FRAME_SEAL && (flags & FLAG_PIGGYBACKED) !== 0 && recordCount === frameCount;
}
