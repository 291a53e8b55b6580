import { MAX_U64 } from '../../base/limits.ts';
import { ChecksumSeed } from '../../format/checksum.ts';
import { decodeChunk } from '../../format/chunk.ts';
import type { Columns } from '../../format/columns.ts';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  WRITTEN_VERSION,
  type FileHeader,
} from '../../format/file-header.ts';
import { FRAME_CHUNK, FRAME_INDEX } from '../../format/frame.ts';
import {
  decodeIndex,
  decodeTrailer,
  TRAILER_BYTES,
  type IndexEntry,
  type Trailer,
} from '../../format/snapshot-index.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { FileWindow, readFully } from '../../fs/file-window.ts';
import { findFrames } from '../../log/frame-search.ts';
import { ChunkReader, type SnapshotFile } from '../../snapshot/snapshot-reader.ts';
import type { Loss } from '../recovery/recovery-report.ts';

/** What a snapshot yields, and what of it is gone. */
export interface SalvagedSnapshot {
  readonly columns: readonly Columns[];
  readonly losses: readonly Loss[];
}

/** Bytes of a snapshot that do not verify; keys are undefined where no record is concerned. */
export function snapshotLoss(
  path: string,
  gap: Pick<Loss, 'reason' | 'fromOffset' | 'toOffset' | 'firstKey' | 'lastKey'>,
): Loss {
  return {
    ...gap,
    path,
    quarantined: undefined,
    firstSequence: undefined,
    lastSequence: undefined,
    olderValuesMayShow: false,
  };
}

/** The header of snapshot `number`, if that verifies, whatever else of the file does. */
export async function readSnapshotHeader(
  fs: FileSystem,
  path: string,
  number: number,
): Promise<FileHeader | undefined> {
  const file = await fs.open(path, 'r');
  try {
    const bytes = new Uint8Array(FILE_HEADER_BYTES);
    const count = await readFully(file, bytes, 0);
    const result = decodeFileHeader(bytes.subarray(0, count), 'snapshot', number);
    return result.kind === 'header' ? result.header : undefined;
  } finally {
    await file.close();
  }
}

/**
 * Keeps every chunk that verifies. The index, which has been verified, names the keys of those that
 * do not.
 */
export async function salvageIndexed(
  fs: FileSystem,
  path: string,
  snapshot: Pick<SnapshotFile, 'header' | 'index' | 'fileBytes'>,
): Promise<SalvagedSnapshot> {
  const { header, index, fileBytes } = snapshot;
  const file = await fs.open(path, 'r');
  try {
    const reader = new ChunkReader(file, fileBytes, header.storeId, header.number);
    return await readEntries(reader, path, index.entries);
  } finally {
    await file.close();
  }
}

async function readEntries(
  reader: ChunkReader,
  path: string,
  entries: readonly IndexEntry[],
): Promise<{ columns: Columns[]; losses: Loss[] }> {
  const columns: Columns[] = [];
  const losses: Loss[] = [];
  for (const [ordinal, entry] of entries.entries()) {
    const chunk = await reader.read(entry, ordinal);
    if (!('kind' in chunk)) columns.push(chunk);
    else {
      const { offset: fromOffset, lengthBytes, firstKey, lastKey } = entry;
      const toOffset = fromOffset + lengthBytes;
      const { reason } = chunk;
      losses.push(snapshotLoss(path, { reason, fromOffset, toOffset, firstKey, lastKey }));
    }
  }
  return { columns, losses };
}

/**
 * Keeps every chunk that verifies by itself, in a snapshot whose header, index or trailer does not.
 */
export async function salvageUnindexed(
  fs: FileSystem,
  path: string,
  number: number,
  storeId: Uint8Array,
  reason: string,
): Promise<SalvagedSnapshot> {
  const header = await readSnapshotHeader(fs, path, number);
  const file = await fs.open(path, 'r');
  try {
    const { sizeBytes } = await file.stat();
    const seed = new ChecksumSeed(storeId, 'snapshot', number);
    const version = header?.version ?? WRITTEN_VERSION.snapshot;
    const found = await findChunks(new FileWindow(file, sizeBytes), seed, version);
    const trailer = await readTrailer(file, sizeBytes, seed);
    const losses: Loss[] = [];
    const lose = (fromOffset: number, toOffset: number, keys: KeyRange): void => {
      losses.push(snapshotLoss(path, { reason, fromOffset, toOffset, ...keys }));
    };
    if (header === undefined) lose(0, Math.min(FILE_HEADER_BYTES, sizeBytes), NO_KEYS);
    if (found.index !== undefined) {
      const reader = new ChunkReader(file, sizeBytes, storeId, number);
      const indexed = await readEntries(reader, path, found.index);
      losses.push(...indexed.losses);
      // With nothing else to blame, it is the trailer that does not belong to the rest.
      if (trailer === undefined || losses.length === 0) lose(found.goodEnd, sizeBytes, NO_KEYS);
      return { columns: indexed.columns, losses };
    }
    for (const gap of found.gaps) lose(gap.fromOffset, gap.toOffset, gap);
    const recordCount = found.columns.reduce((sum, chunk) => sum + chunk.recordCount, 0);
    const firstKey = nextKey(found.columns);
    const isComplete = trailer?.recordCount === recordCount || firstKey > MAX_U64;
    const keys = isComplete ? NO_KEYS : { firstKey, lastKey: undefined };
    lose(found.goodEnd, sizeBytes, keys);
    return { columns: found.columns, losses };
  } finally {
    await file.close();
  }
}

type KeyRange = Pick<Loss, 'firstKey' | 'lastKey'>;

const NO_KEYS: KeyRange = { firstKey: undefined, lastKey: undefined };

interface FoundChunks {
  readonly columns: Columns[];
  /** What lies between them. */
  readonly gaps: (KeyRange & Pick<Loss, 'fromOffset' | 'toOffset'>)[];
  /** Behind the last frame that verifies. */
  goodEnd: number;
  /** The index, if that verifies. */
  index: readonly IndexEntry[] | undefined;
}

/** The lowest key that none of these chunks can hold. */
function nextKey(columns: readonly Columns[]): bigint {
  const last = columns.at(-1);
  return last === undefined ? 0n : last.lastKey + 1n;
}

/** All chunks that verify, up to an index that does. */
async function findChunks(
  window: FileWindow,
  seed: ChecksumSeed,
  version: number,
): Promise<FoundChunks> {
  const found: FoundChunks = {
    columns: [],
    gaps: [],
    goodEnd: FILE_HEADER_BYTES,
    index: undefined,
  };
  for await (const frame of findFrames(window, seed, FILE_HEADER_BYTES)) {
    const { header, offset, payload } = frame;
    if (header.kind === FRAME_INDEX) {
      const index = decodeIndex(payload, Number(header.sequence), offset, version);
      if (typeof index === 'string') continue;
      found.index = index.entries;
      found.goodEnd = offset + frame.lengthBytes;
      break;
    }
    const chunk = header.kind === FRAME_CHUNK ? decodeChunk(payload) : 'no chunk';
    const firstKey = nextKey(found.columns);
    if (typeof chunk === 'string' || chunk.firstKey < firstKey) continue;
    if (offset > found.goodEnd) {
      const lastKey = chunk.firstKey - 1n;
      found.gaps.push({ fromOffset: found.goodEnd, toOffset: offset, firstKey, lastKey });
    }
    found.columns.push(chunk);
    found.goodEnd = offset + frame.lengthBytes;
  }
  return found;
}

async function readTrailer(
  file: OpenFile,
  sizeBytes: number,
  seed: ChecksumSeed,
): Promise<Trailer | undefined> {
  if (sizeBytes < TRAILER_BYTES) return undefined;
  const bytes = new Uint8Array(TRAILER_BYTES);
  await readFully(file, bytes, sizeBytes - TRAILER_BYTES);
  const trailer = decodeTrailer(bytes, seed, sizeBytes);
  return typeof trailer === 'string' ? undefined : trailer;
}
