import { ChecksumSeed } from '../../format/checksum.ts';
import { FILE_HEADER_BYTES, type Predecessor } from '../../format/file-header.ts';
import { FRAME_BATCHES, FRAME_SEAL } from '../../format/frame.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { FileWindow } from '../../fs/file-window.ts';
import { findFrames } from '../../log/frame-search.ts';
import { scanLog } from '../../log/log-scan.ts';
import { readSnapshot, type SnapshotResult } from '../../snapshot/snapshot-reader.ts';
import { salvageIndexed, salvageUnindexed } from './salvage-snapshot.ts';

/** Which file a path is a copy of. */
export interface CopyOf {
  readonly path: string;
  readonly number: number;
  readonly storeId: Uint8Array;
}

/** What a salvage of one copy of a log would find. */
export interface LogCopy {
  /**
   * Header checksums of all valid frames up to the seal, by offset. They include the chain, so the
   * same checksum at the same offset is the same frame after the same frames.
   */
  readonly frames: ReadonlyMap<number, number>;
  /** Sequence number of the last batch found, also behind damage. 0 without one. */
  readonly lastSequence: bigint;
  /** The end of the part before the first damage. */
  readonly end: Predecessor;
  /** Whether there is no damage, not even a torn tail. */
  readonly isSound: boolean;
}

/** What a salvage of one copy of a snapshot would find. */
export interface SnapshotCopy {
  readonly isWhole: boolean;
  readonly recordCount: number;
}

/** Rejects with the system error or the signal's reason. */
export async function readLogCopy(
  fs: FileSystem,
  { path, number, storeId }: CopyOf,
  signal: AbortSignal,
): Promise<LogCopy> {
  const scan = await scanLog(fs, path, { number, storeId, signal });
  const frames = new Map<number, number>();
  let lastSequence = 0n;
  const file = await fs.open(path, 'r');
  try {
    const window = new FileWindow(file, scan.fileBytes);
    const seed = new ChecksumSeed(storeId, 'log', number);
    for await (const { header, offset } of findFrames(window, seed, FILE_HEADER_BYTES)) {
      signal.throwIfAborted();
      frames.set(offset, header.checksum);
      if (header.kind === FRAME_SEAL) break;
      const last = header.sequence + BigInt(header.batchCount) - 1n;
      if (header.kind === FRAME_BATCHES && last > lastSequence) lastSequence = last;
    }
  } finally {
    await file.close();
  }
  const { validBytes: lengthBytes, chain, ending } = scan;
  const end = { number, lengthBytes, lastSequence: scan.lastSequence, chain };
  const isSound = ending.kind === 'sealed' || ending.kind === 'end';
  return { frames, lastSequence, end, isSound };
}

/** Whether every frame of the other copy is in this one. */
export function holdsAllOf(copy: LogCopy, other: LogCopy): boolean {
  return [...other.frames].every(([offset, checksum]) => copy.frames.get(offset) === checksum);
}

/** Reads every chunk. Rejects with the system error. */
export async function readSnapshotCopy(
  fs: FileSystem,
  { path, number, storeId }: CopyOf,
): Promise<SnapshotCopy> {
  const read = await readIndex(fs, path, number);
  const { columns, losses } =
    read.kind === 'snapshot'
      ? await salvageIndexed(fs, path, read)
      : await salvageUnindexed(fs, path, number, storeId, 'it does not verify');
  const recordCount = columns.reduce((sum, chunk) => sum + chunk.recordCount, 0);
  return { isWhole: losses.length === 0, recordCount };
}

async function readIndex(fs: FileSystem, path: string, number: number): Promise<SnapshotResult> {
  const file = await fs.open(path, 'r');
  try {
    return await readSnapshot(file, number);
  } finally {
    await file.close();
  }
}
