import { join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { systemCode } from '../../base/errors.ts';
import type { DirectoryListing } from '../../directory/listing.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, type Predecessor } from '../../format/file-header.ts';
import { logName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import type { Retention, RetainedLog } from './retained-logs.ts';
import { storeIdOf, type SnapshotState } from '../recovery/snapshot-state.ts';
import { predecessorOf } from '../recovery/verdict.ts';

/**
 * Finds the merged logs that are retained: the longest chain up to the snapshot within the limit,
 * newest first. Reads only file headers: each names its predecessor's length and last checksum, and
 * feeds verify every frame that they read. Changes nothing.
 *
 * @throws system errors unchanged
 */
export async function surveyRetained(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
  snapshot: SnapshotState | undefined,
  limitBytes: number,
): Promise<Retention> {
  const logs: RetainedLog[] = [];
  let last = predecessorOf(snapshot);
  const snapshotSequence = last.lastSequence;
  const storeId = storeIdOf(snapshot);
  let leftBytes = limitBytes;
  while (leftBytes > 0 && listing.logs.includes(last.number)) {
    const found = await readHeader(fs, directory, storeId, last);
    if (found === undefined || found.log.fileBytes > leftBytes) break;
    leftBytes -= found.log.fileBytes;
    logs.unshift(found.log);
    last = found.predecessor;
  }
  return { limitBytes, logs, snapshotSequence };
}

/** The log that `expected` names. Undefined if the file is another one. */
async function readHeader(
  fs: FileSystem,
  directory: string,
  storeId: Uint8Array,
  expected: Predecessor,
): Promise<{ readonly log: RetainedLog; readonly predecessor: Predecessor } | undefined> {
  const { number, lengthBytes, lastSequence } = expected;
  const path = join(directory, logName(number));
  const file = await fs.open(path, 'r').catch((error: unknown) => {
    // A read-only open may run beside a store that has removed the file.
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { sizeBytes } = await file.stat();
    const head = new Uint8Array(Math.min(FILE_HEADER_BYTES, sizeBytes));
    await readFully(file, head, 0);
    const result = decodeFileHeader(head, 'log', number);
    if (result.kind !== 'header' || !equalBytes(result.header.storeId, storeId)) return undefined;
    const { predecessor } = result.header;
    const isWhole = sizeBytes >= lengthBytes && lengthBytes > FILE_HEADER_BYTES;
    const isNext = predecessor.number + 1 === number && predecessor.lastSequence < lastSequence;
    if (!isWhole || !isNext) return undefined;
    const before = predecessor.lastSequence;
    const log = { number, path, lengthBytes, fileBytes: sizeBytes, before, lastSequence };
    return { log, predecessor };
  } finally {
    await file.close();
  }
}
