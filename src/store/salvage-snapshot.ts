import { ChecksumSeed } from '../format/checksum.ts';
import { decodeChunk } from '../format/chunk.ts';
import type { Columns } from '../format/columns.ts';
import { FILE_HEADER_BYTES } from '../format/file-header.ts';
import { FRAME_CHUNK, FRAME_INDEX } from '../format/frame.ts';
import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { FileWindow } from '../fs/file-window.ts';
import { findFrames } from '../jobs/find-frames.ts';
import { ChunkReader, type SnapshotFile } from '../snapshot/snapshot-reader.ts';
import type { Loss } from './recovery-report.ts';

/** What a snapshot yields, and what of it is gone. */
export interface SalvagedSnapshot {
  readonly columns: readonly Columns[];
  readonly losses: readonly Loss[];
}

interface Gap {
  readonly reason: string;
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly firstKey: bigint | undefined;
  readonly lastKey: bigint | undefined;
}

function chunkLoss(path: string, gap: Gap): Loss {
  return {
    ...gap,
    path,
    quarantined: undefined,
    firstSequence: undefined,
    lastSequence: undefined,
    olderValuesMayShow: false,
  };
}

/** Keeps every chunk that verifies. The index, which has been verified, names the keys of those that do not. */
export async function salvageIndexed(
  fs: FileSystem,
  path: string,
  snapshot: SnapshotFile,
): Promise<SalvagedSnapshot> {
  const columns: Columns[] = [];
  const losses: Loss[] = [];
  const { header, index, fileBytes } = snapshot;
  const file = await fs.open(path, 'r');
  try {
    const reader = new ChunkReader(file, fileBytes, header.storeId, header.number);
    for (const [ordinal, entry] of index.entries.entries()) {
      const chunk = await reader.read(entry, ordinal);
      if (!('kind' in chunk)) columns.push(chunk);
      else {
        const { offset, lengthBytes, firstKey, lastKey } = entry;
        const toOffset = offset + lengthBytes;
        const { reason } = chunk;
        losses.push(chunkLoss(path, { reason, fromOffset: offset, toOffset, firstKey, lastKey }));
      }
    }
    return { columns, losses };
  } finally {
    await file.close();
  }
}

/** Keeps every chunk that verifies by itself, in a snapshot whose header, index or trailer does not. */
export async function salvageUnindexed(
  fs: FileSystem,
  path: string,
  number: number,
  storeId: Uint8Array,
  reason: string,
): Promise<SalvagedSnapshot> {
  const file = await fs.open(path, 'r');
  try {
    return await scanChunks(file, path, number, storeId, reason);
  } finally {
    await file.close();
  }
}

async function scanChunks(
  file: OpenFile,
  path: string,
  number: number,
  storeId: Uint8Array,
  reason: string,
): Promise<SalvagedSnapshot> {
  const { sizeBytes } = await file.stat();
  const columns: Columns[] = [];
  const losses: Loss[] = [];
  const seed = new ChecksumSeed(storeId, 'snapshot', number);
  let goodEnd = FILE_HEADER_BYTES;
  const noteGap = (toOffset: number, nextKey: bigint | undefined): void => {
    if (toOffset <= goodEnd) return;
    const firstKey = columns.length === 0 ? 0n : columns.at(-1)!.lastKey + 1n;
    const lastKey = nextKey === undefined ? undefined : nextKey - 1n;
    losses.push(chunkLoss(path, { reason, fromOffset: goodEnd, toOffset, firstKey, lastKey }));
  };
  for await (const frame of findFrames(new FileWindow(file, sizeBytes), seed, FILE_HEADER_BYTES)) {
    if (frame.header.kind === FRAME_INDEX) {
      noteGap(frame.offset, undefined);
      return { columns, losses };
    }
    const chunk = frame.header.kind === FRAME_CHUNK ? decodeChunk(frame.payload) : 'no chunk';
    const isNext = typeof chunk !== 'string' && (columns.at(-1)?.lastKey ?? -1n) < chunk.firstKey;
    if (typeof chunk === 'string' || !isNext) continue;
    noteGap(frame.offset, chunk.firstKey);
    columns.push(chunk);
    goodEnd = frame.offset + frame.lengthBytes;
  }
  noteGap(Math.max(sizeBytes, goodEnd + 1), undefined);
  return { columns, losses };
}
