import { ChecksumSeed } from '../format/checksum.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, type FileHeader } from '../format/file-header.ts';
import {
  decodeFrameHeader,
  FRAME_BATCHES,
  FRAME_HEADER_BYTES,
  type FrameHeader,
} from '../format/frame.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow, readFully } from '../fs/file-window.ts';
import { provenEnd, startOf } from './frame-cursor.ts';
import { findFrameHeader } from './frame-search.ts';
import type { LogPiece, LogPosition, LogScanOptions } from './log-report.ts';
import { LogScanner } from './log-scanner.ts';

/** The bytes [from, to) of a file. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Reads the groups that begin in a part of a log, up to the first invalid or other frame, which a
 * scan of the whole log will judge. Returns undefined if it finds no group. Changes nothing.
 */
export async function scanPiece(
  fs: FileSystem,
  path: string,
  range: ByteRange,
  options: LogScanOptions,
): Promise<LogPiece | undefined> {
  const file = await fs.open(path, 'r');
  try {
    return await scanOpenPiece(file, range, options);
  } finally {
    await file.close();
  }
}

async function scanOpenPiece(
  file: OpenFile,
  range: ByteRange,
  options: LogScanOptions,
): Promise<LogPiece | undefined> {
  const { sizeBytes } = await file.stat();
  const head = new Uint8Array(Math.min(FILE_HEADER_BYTES, sizeBytes));
  await readFully(file, head, 0);
  const result = decodeFileHeader(head, 'log', options.number);
  if (result.kind !== 'header') return undefined;
  const window = new FileWindow(file, sizeBytes, options.mayBlock);
  const first = await firstGroup(window, result.header, range);
  if (first === undefined) return undefined;
  const from = placeBefore(first.header, first.offset);
  const isFirst = from.offset === FILE_HEADER_BYTES;
  if (isFirst && !startsAt(from, startOf(result.header))) return undefined;
  const scanner = new LogScanner(window, result.header, options, from);
  await scanner.scanGroups(range.to);
  window.release();
  const to = scanner.position;
  if (to.frameCount === 0) return undefined;
  return { from, to, provenEnd: provenEnd(first.header, first.offset) };
}

async function firstGroup(
  window: FileWindow,
  { storeId, number }: FileHeader,
  { from, to }: ByteRange,
): Promise<{ readonly offset: number; readonly header: FrameHeader } | undefined> {
  const seed = new ChecksumSeed(storeId, 'log', number);
  const offset = await findFrameHeader(window, seed, Math.max(from, FILE_HEADER_BYTES), to);
  if (offset === undefined) return undefined;
  const result = decodeFrameHeader(await window.at(offset, FRAME_HEADER_BYTES), 0, seed, offset);
  if (result.kind !== 'frame' || result.header.kind !== FRAME_BATCHES) return undefined;
  return { offset, header: result.header };
}

function placeBefore({ chain, sequence }: FrameHeader, offset: number): LogPosition {
  return {
    offset,
    chain,
    lastSequence: sequence - 1n,
    unprovenFrom: undefined,
    frameCount: 0,
    batchCount: 0,
    recordCount: 0,
  };
}

/**
 * Returns the position after the longest prefix of `pieces` that is contiguous from `start` on, and
 * the number of pieces in it. Each piece must meet the rules that a scan applies to its first
 * group.
 */
export function joinPieces(
  start: LogPosition,
  pieces: readonly (LogPiece | undefined)[],
): { readonly position: LogPosition; readonly pieces: number } {
  let position = start;
  let joined = 0;
  for (const piece of pieces) {
    if (piece !== undefined) {
      if (!follows(piece, position)) break;
      position = added(position, piece.to);
    }
    joined++;
  }
  return { position, pieces: joined };
}

/**
 * Whether a piece continues the pieces before it. `before` is the last of them; undefined for the
 * first piece. The first piece of a log matches the file header, otherwise `scanPiece` would not
 * have returned it.
 */
export function continues(piece: LogPiece, before: LogPiece | undefined): boolean {
  return before === undefined ? piece.from.offset === FILE_HEADER_BYTES : follows(piece, before.to);
}

function follows({ from, provenEnd: proven }: LogPiece, position: LogPosition): boolean {
  return startsAt(from, position) && proven >= (position.unprovenFrom ?? 0);
}

function startsAt(from: LogPosition, position: LogPosition): boolean {
  return (
    from.offset === position.offset &&
    from.chain === position.chain &&
    from.lastSequence === position.lastSequence
  );
}

function added(position: LogPosition, piece: LogPosition): LogPosition {
  return {
    ...piece,
    frameCount: position.frameCount + piece.frameCount,
    batchCount: position.batchCount + piece.batchCount,
    recordCount: position.recordCount + piece.recordCount,
  };
}
