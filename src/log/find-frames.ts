import type { ChecksumSeed } from '../format/checksum.ts';
import {
  decodeFrameHeader,
  decodePayload,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  type FrameHeader,
} from '../format/frame.ts';
import type { FileWindow } from '../fs/file-window.ts';

/** A frame that verifies by itself, wherever in the file it stands. */
export interface FoundFrame {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly header: FrameHeader;
  /** Valid until the next frame is asked for. */
  readonly payload: Uint8Array;
}

/**
 * All frames at or behind `from` whose header and payload verify, in order, whatever lies between them.
 * Checksums are seeded with store, file and offset: nothing else can pass for a frame of this file.
 */
export async function* findFrames(
  window: FileWindow,
  seed: ChecksumSeed,
  from: number,
): AsyncGenerator<FoundFrame, void, void> {
  let position = from;
  for (;;) {
    const bytes = await window.some(position);
    if (bytes.length === 0) return;
    const at = bytes.indexOf(FRAME_MAGIC[0]!);
    if (at < 0) {
      position += bytes.length;
      continue;
    }
    position += at;
    const frame = await frameAt(window, seed, position);
    if (frame !== undefined) yield frame;
    position += frame?.lengthBytes ?? 1;
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
  return {
    offset,
    lengthBytes: FRAME_HEADER_BYTES + header.payloadBytes,
    header,
    payload: payload.bytes,
  };
}
