import { join } from 'node:path';
import type { DirectoryListing } from '../../directory/listing.ts';
import { ChecksumSeed, STORE_ID_BYTES, type FileKind } from '../../format/checksum.ts';
import type { Claim } from '../../format/claim.ts';
import { decodeFileHeader, FILE_HEADER_BYTES, STORE_ID_OFFSET } from '../../format/file-header.ts';
import { logName, snapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { FileWindow } from '../../fs/file-window.ts';
import { findFrameHeader } from '../../log/frame-search.ts';
import { readSnapshotState, storeIdOf } from '../recovery/snapshot-state.ts';

/** A log or a snapshot, as its name says. */
interface NamedFile {
  readonly kind: FileKind;
  readonly number: number;
  readonly path: string;
}

/**
 * Finds the id of a store whose newest snapshot is missing or has an invalid header. Valid headers,
 * the claim and the bytes of invalid headers name ids. Checksums are seeded with the id, so a frame
 * that verifies proves one. Without such a frame, it is the id in the newest valid header.
 * Undefined if there is none.
 */
export async function findLostStoreId(
  fs: FileSystem,
  directory: string,
  listing: DirectoryListing,
  claim: Claim | undefined,
): Promise<Uint8Array | undefined> {
  const logs = listing.logs.toReversed().map((number) => namedFile(directory, 'log', number));
  const inHeaders: Uint8Array[] = [];
  for (const log of logs) {
    const result = decodeFileHeader(await headOf(fs, log), 'log', log.number);
    if (result.kind === 'header') inHeaders.push(result.header.storeId);
  }
  for (const number of listing.snapshots.slice(0, -1).toReversed()) {
    const state = await readSnapshotState(fs, directory, number);
    if (!('hint' in state)) inHeaders.push(storeIdOf(state));
  }
  const named = claim === undefined ? inHeaders : [...inHeaders, claim.storeId];
  const newest = listing.snapshots
    .slice(-1)
    .map((number) => namedFile(directory, 'snapshot', number));
  for (const file of [...newest, ...logs]) {
    const head = await headOf(fs, file);
    const proven = await provenId(fs, file, distinct([...named, ...idsIn(head, file)]));
    if (proven !== undefined) return proven;
  }
  return inHeaders[0];
}

/** Whether a frame of the file verifies under this id. */
export async function hasFrameOf(
  fs: FileSystem,
  file: NamedFile,
  storeId: Uint8Array,
): Promise<boolean> {
  return (await provenId(fs, file, [storeId])) !== undefined;
}

/** The first id under which a frame of the file verifies. */
async function provenId(
  fs: FileSystem,
  { path, kind, number }: NamedFile,
  ids: readonly Uint8Array[],
): Promise<Uint8Array | undefined> {
  const file = await fs.open(path, 'r');
  try {
    const window = new FileWindow(file, (await file.stat()).sizeBytes);
    for (const id of ids) {
      const seed = new ChecksumSeed(id, kind, number);
      if ((await findFrameHeader(window, seed, FILE_HEADER_BYTES)) !== undefined) return id;
    }
    return undefined;
  } finally {
    await file.close();
  }
}

async function headOf(fs: FileSystem, { path }: NamedFile): Promise<Uint8Array> {
  const file = await fs.open(path, 'r');
  try {
    const { sizeBytes } = await file.stat();
    return await new FileWindow(file, Math.min(sizeBytes, FILE_HEADER_BYTES)).at(
      0,
      FILE_HEADER_BYTES,
    );
  } finally {
    await file.close();
  }
}

/**
 * The ids that an invalid header may have had: the stored one, and those that differ from it in one
 * byte and make the header valid.
 */
function idsIn(head: Uint8Array, { kind, number }: NamedFile): Uint8Array[] {
  if (head.length < FILE_HEADER_BYTES) return [];
  const bytes = head.slice();
  const id = bytes.subarray(STORE_ID_OFFSET, STORE_ID_OFFSET + STORE_ID_BYTES);
  const ids = [id.slice()];
  for (const [at, stored] of id.slice().entries()) {
    for (let value = 0; value < 256; value++) {
      id[at] = value;
      if (decodeFileHeader(bytes, kind, number).kind === 'header') ids.push(id.slice());
    }
    id[at] = stored;
  }
  return ids;
}

function namedFile(directory: string, kind: FileKind, number: number): NamedFile {
  const name = kind === 'log' ? logName(number) : snapshotName(number);
  return { kind, number, path: join(directory, name) };
}

function distinct(ids: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(ids.map((id) => [Buffer.from(id).toString('hex'), id])).values()];
}
