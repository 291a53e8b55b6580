import { MAX_U64 } from '../../base/limits.ts';
import { ChecksumSeed } from '../../format/checksum.ts';
import { decodeChunk } from '../../format/chunk.ts';
import { sumOfColumns } from '../../format/columns-sum.ts';
import type { Columns } from '../../format/columns.ts';
import { ContentSum } from '../../format/content-sum.ts';
import { FILE_HEADER_BYTES, WRITTEN_VERSION } from '../../format/file-header.ts';
import { FRAME_CHUNK, FRAME_INDEX } from '../../format/frame.ts';
import {
  decodeIndex,
  decodeTrailer,
  TRAILER_BYTES,
  type SnapshotIndex,
  type Trailer,
} from '../../format/snapshot-index.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { FileWindow, readFully } from '../../fs/file-window.ts';
import { findFrames } from '../../log/frame-search.ts';
import { readSnapshotHeader } from '../../snapshot/snapshot-header.ts';
import { ChunkReader, type SnapshotFile } from '../../snapshot/snapshot-reader.ts';
import type { Loss } from '../recovery/recovery-report.ts';

/** The salvaged part of a snapshot, and its losses. */
export interface SalvagedSnapshot {
  readonly columns: readonly Columns[];
  readonly losses: readonly Loss[];
}

/** Invalid bytes of a snapshot. Keys are undefined if no record is affected. */
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

/**
 * Keeps every valid chunk. The verified index has the key ranges of the others, and the content
 * hash of all.
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
    return await readChunks(reader, path, index);
  } finally {
    await file.close();
  }
}

async function readChunks(
  reader: ChunkReader,
  path: string,
  { entries, totals }: SnapshotIndex,
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
  const { contentHash } = totals;
  const isOther =
    losses.length === 0 && contentHash !== undefined && contentHash !== hashOf(columns);
  if (!isOther) return { columns, losses };
  const reason = 'the records do not have the content hash in the index';
  const toOffset = entries.reduce((end, { lengthBytes }) => end + lengthBytes, FILE_HEADER_BYTES);
  const gap = { reason, fromOffset: FILE_HEADER_BYTES, toOffset, ...NO_KEYS };
  return { columns, losses: [{ ...snapshotLoss(path, gap), olderValuesMayShow: true }] };
}

function hashOf(records: readonly Columns[]): bigint {
  const content = new ContentSum();
  for (const columns of records) content.add(sumOfColumns(columns));
  return content.value;
}

/**
 * Keeps every chunk that is valid by itself, in a snapshot with an invalid header, index or
 * trailer.
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
      const { entries, totals } = found.index;
      // Without a header the version is unknown. In version 1, zeros are in the place of the hash.
      const hasHash = header !== undefined || totals.contentHash !== 0n;
      const contentHash = hasHash ? totals.contentHash : undefined;
      const index = { entries, totals: { ...totals, contentHash } };
      const indexed = await readChunks(reader, path, index);
      losses.push(...indexed.losses);
      // Without another loss, the trailer is what does not match the rest.
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
  /** The gaps between the chunks. */
  readonly gaps: (KeyRange & Pick<Loss, 'fromOffset' | 'toOffset'>)[];
  /** End of the last valid frame. */
  goodEnd: number;
  /** The index, if it is valid. */
  index: SnapshotIndex | undefined;
}

/** The lowest key after these chunks. */
function nextKey(columns: readonly Columns[]): bigint {
  const last = columns.at(-1);
  return last === undefined ? 0n : last.lastKey + 1n;
}

/** All valid chunks, up to a valid index. */
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
      found.index = index;
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
