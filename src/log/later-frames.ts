import type { ChecksumSeed } from '../format/checksum.ts';
import {
  decodeFrameHeader,
  FLAG_RIDES,
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
 * Looks for frame headers behind `offset`, where something broken starts. Behind a broken file header the
 * first frame counts too: both headers lie in one sector, which a torn write leaves whole or not at all.
 * `frameCount` is the number of frames in the log if exactly one is broken. Without a seed nothing can be
 * recognised.
 */
export async function findLaterFrames(
  window: FileWindow,
  offset: number,
  seed: ChecksumSeed | undefined,
  frameCount: number,
): Promise<LaterFrames> {
  if (seed === undefined) return { kind: 'none' };
  let found: LaterFrames = { kind: 'none' };
  for await (const position of frameHeaders(window, offset + 1, seed)) {
    const head = await window.at(position, FRAME_HEADER_BYTES);
    const result = decodeFrameHeader(head, 0, seed, position);
    const proof = { kind: 'frames' as const, offset: position };
    if (result.kind !== 'frame' || found.kind === 'riding-seal') return proof;
    const { header } = result;
    if (isUnsynced(header, position, offset)) {
      const lastSequence = header.sequence + BigInt(header.batchCount) - 1n;
      const first: number = found.kind === 'unsynced' ? found.offset : position;
      found = { kind: 'unsynced', offset: first, lastSequence };
    } else if (found.kind === 'none' && isRidingSeal(header, frameCount)) {
      found = { kind: 'riding-seal', offset: position };
    } else return proof;
  }
  return found;
}

/** True for a group that was written before what stands at `brokenAt` was known to be synced. */
function isUnsynced(header: FrameHeader, position: number, brokenAt: number): boolean {
  return header.kind === FRAME_BATCHES && position - header.unprovenBytes <= brokenAt;
}

function isRidingSeal(header: FrameHeader, frameCount: number): boolean {
  const { kind, flags, recordCount } = header;
  return kind === FRAME_SEAL && (flags & FLAG_RIDES) !== 0 && recordCount === frameCount;
}

/** Offsets in [from, to) where a header of this file stands. */
export async function* frameHeaders(
  window: FileWindow,
  from: number,
  seed: ChecksumSeed,
  to: number = window.fileBytes,
): AsyncGenerator<number, void, void> {
  const first = FRAME_MAGIC[0]!;
  let position = from;
  while (position < to) {
    const bytes = await window.some(position);
    if (bytes.length === 0) return;
    const at = bytes.indexOf(first);
    if (at < 0) {
      position += bytes.length;
      continue;
    }
    position += at;
    if (position >= to) return;
    const head = await window.at(position, FRAME_HEADER_BYTES);
    if (isFrameHeader(head, 0, seed, position)) yield position;
    position++;
  }
}
