import type { OpenFile } from '../fs/file-system.ts';
import { ChunkReader, readSnapshot } from '../snapshot/snapshot-reader.ts';
import type { WrittenSnapshot } from '../snapshot/snapshot-writer.ts';
import type { JobDamage } from './job-context.ts';

/** Identity and path of the snapshot that was written. */
export interface WrittenAs {
  readonly number: number;
  readonly storeId: Uint8Array;
  readonly temporaryPath: string;
}

/** Reads back a written snapshot and checks every checksum, the counts and the totals. */
export async function verifyWritten(
  file: OpenFile,
  as: WrittenAs,
  written: WrittenSnapshot,
  signal: AbortSignal,
): Promise<JobDamage | undefined> {
  const path = as.temporaryPath;
  const result = await readSnapshot(file, as.number);
  if (result.kind !== 'snapshot') {
    const reason = result.kind === 'corrupt' ? result.reason : 'the new snapshot is not a snapshot';
    return { kind: 'corrupt', path, offset: 0, reason };
  }
  const { entries, totals } = result.index;
  const isAsWritten =
    result.fileBytes === written.fileBytes &&
    entries.length === written.entries.length &&
    totals.recordCount === written.totals.recordCount &&
    totals.contentHash === written.totals.contentHash;
  if (!isAsWritten) {
    const reason = 'the new snapshot differs from what was written';
    return { kind: 'corrupt', path, offset: 0, reason };
  }
  const reader = new ChunkReader(file, result.fileBytes, as.storeId, as.number);
  for (let i = 0; i < entries.length; i++) {
    signal.throwIfAborted();
    const chunk = await reader.readRaw(entries[i]!, i);
    if (chunk.kind === 'corrupt') return { ...chunk, path };
  }
  return undefined;
}
