import { finishAtOnce } from '../../src/base/flow.ts';
import type { Columns } from '../../src/format/columns.ts';
import { FILE_HEADER_BYTES, type Predecessor } from '../../src/format/file-header.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import {
  GroupEncoder,
  writeBatchTable,
  type Group,
  type WritePosition,
} from '../../src/log/group-encoder.ts';
import { SnapshotWriter } from '../../src/snapshot/snapshot-writer.ts';
import type { OpenFile } from '../../src/fs/file-system.ts';
import { openedFile } from './read-only-files.ts';
import { rowsLength, type TestRow } from './rows.ts';
import { ROW_HEADER_BYTES } from '../../src/base/limits.ts';

export const STORE_ID: Uint8Array = new Uint8Array(16).fill(0x5a);
export const NO_PREDECESSOR: Predecessor = {
  number: 0,
  lengthBytes: 0,
  lastSequence: 0n,
  chain: 0,
};

/** The decoded payload of a group with these batches of rows. */
export function groupOf(batches: readonly (readonly TestRow[])[]): Group {
  const rows = batches.flat();
  const rowsBytes = rowsLength(rows);
  const tableBytes = batches.length > 1 ? 4 * batches.length : 0;
  const decoded = new Uint8Array(rowsBytes + tableBytes);
  const view = new DataView(decoded.buffer);
  let offset = 0;
  for (const { key, value, data = new Uint8Array(0) } of rows) {
    view.setBigUint64(offset, key, true);
    view.setBigUint64(offset + 8, value, true);
    view.setUint32(offset + 16, data.length, true);
    decoded.set(data, offset + ROW_HEADER_BYTES);
    offset += ROW_HEADER_BYTES + data.length;
  }
  writeBatchTable(
    decoded,
    rowsBytes,
    batches.map((batch) => batch.length),
  );
  return { decoded, batchCount: batches.length, recordCount: rows.length };
}

export interface LogPlan {
  readonly number: number;
  readonly epoch?: number;
  readonly predecessor?: Predecessor;
  readonly storeId?: Uint8Array;
  /** Batches of each group. */
  readonly groups: readonly (readonly (readonly TestRow[])[])[];
  /** `piggybacked`: in the write of the last group. */
  readonly seal?: 'none' | 'alone' | 'piggybacked';
  readonly zerosBehind?: number;
}

export interface PlannedLog {
  readonly bytes: Uint8Array;
  /** Offsets of all frames, including the seal, then the end of the last one. */
  readonly offsets: readonly number[];
  readonly asPredecessor: Predecessor;
}

/** The bytes of a log, made by the store's encoder. */
export async function logOf(plan: LogPlan): Promise<PlannedLog> {
  const { number, groups, seal = 'none', storeId = STORE_ID, predecessor = NO_PREDECESSOR } = plan;
  const encoder = new GroupEncoder();
  const seed = new ChecksumSeed(storeId, 'log', number);
  const header = { kind: 'log' as const, storeId, number, epoch: plan.epoch ?? 1, predecessor };
  const parts: Uint8Array[] = [];
  const offsets: number[] = [FILE_HEADER_BYTES];
  let position: WritePosition = {
    offset: 0,
    chain: 0,
    frameCount: 0,
    lastSequence: predecessor.lastSequence,
  };
  for (const [i, batches] of groups.entries()) {
    const isPiggybacked = seal === 'piggybacked' && i === groups.length - 1;
    const first = i === 0 ? header : undefined;
    const group = groupOf(batches);
    const write = finishAtOnce(
      encoder.encode(position, seed, { header: first, group, seal: isPiggybacked }),
    );
    parts.push(write.bytes.slice());
    position = write.after;
    if (isPiggybacked) offsets.push(position.offset - 48);
    offsets.push(position.offset);
  }
  if (seal === 'alone') {
    const write = finishAtOnce(encoder.encode(position, seed, { seal: true }));
    parts.push(write.bytes.slice());
    position = write.after;
    offsets.push(position.offset);
  }
  parts.push(new Uint8Array(plan.zerosBehind ?? 0));
  const { offset, lastSequence, chain } = position;
  const asPredecessor = { number, lengthBytes: offset, lastSequence, chain };
  return { bytes: new Uint8Array(Buffer.concat(parts)), offsets, asPredecessor };
}

/** A file in memory that grows with its writes. */
export function growingFile(): { readonly file: OpenFile; readonly bytes: () => Uint8Array } {
  let bytes = new Uint8Array(0);
  const file: OpenFile = {
    ...openedFile(bytes),
    write: async (source, position) => {
      const larger = new Uint8Array(Math.max(bytes.length, position + source.length));
      larger.set(bytes);
      larger.set(source, position);
      bytes = larger;
      return source.length;
    },
    dataSync: async () => undefined,
  };
  return { file, bytes: () => bytes };
}

/** The bytes of a snapshot with these chunks. */
export async function snapshotOf(
  number: number,
  chunks: readonly Columns[],
  last: Omit<Predecessor, 'number'> = NO_PREDECESSOR,
  epoch = 1,
  storeId = STORE_ID,
): Promise<Uint8Array> {
  const { file, bytes } = growingFile();
  const predecessor = { ...last, number };
  const writer = new SnapshotWriter(file, {
    kind: 'snapshot',
    storeId,
    number,
    epoch,
    predecessor,
  });
  for (const chunk of chunks) await writer.writeChunk(chunk);
  await writer.finish();
  return bytes();
}

/** A directory's files by name. */
export function directoryOf(
  snapshot: { readonly number: number; readonly bytes: Uint8Array },
  logs: readonly { readonly number: number; readonly bytes: Uint8Array }[],
): Map<string, Uint8Array> {
  const files = new Map([[snapshotName(snapshot.number), snapshot.bytes]]);
  for (const log of logs) files.set(logName(log.number), log.bytes);
  return files;
}
