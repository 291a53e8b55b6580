import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CorruptionError, StoreError, systemCode } from '../../base/errors.ts';
import { BACKUP_NAME, parseFileName } from '../../format/file-name.ts';
import { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { refuseIncompleteCopy } from '../../directory/incomplete-copy.ts';

const FORMAT = 'lodestore backup';
const VERSION = 1;
/** A manifest has about 200 bytes per file, and a store fewer than a hundred files. */
const MAX_MANIFEST_BYTES: number = 16 * 1024 * 1024;

/** One file of a backup. */
export interface BackupFile {
  readonly name: string;
  /** Bytes of content. Reserved zeros may follow them. */
  readonly lengthBytes: number;
  /** SHA-256 of these bytes, 64 hexadecimal digits. */
  readonly sha256: string;
  /** `linked`: a second name of the store's own file. `reused`: of the previous backup's file. */
  readonly origin: 'linked' | 'reused' | 'copied';
}

/** The content of a backup's `BACKUP.json`. */
export interface BackupManifest {
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** Sequence number of the last batch in the backup. */
  readonly lastSequence: bigint;
  /** Undefined if not counted. */
  readonly records: number | undefined;
  /**
   * Content hash of all records, 32 hexadecimal digits. Undefined unless the backup was verified.
   */
  readonly contentHash: string | undefined;
  /** When the backup began, in ISO 8601. */
  readonly createdAt: string;
  /** The backup that this one is incremental against, as the caller gave it. */
  readonly previous: string | undefined;
  readonly files: readonly BackupFile[];
}

/**
 * The text of `BACKUP.json`. Its last field is the SHA-256 of the other fields in the same format.
 */
export function encodeManifest(manifest: BackupManifest): string {
  const { storeId, lastSequence, records, contentHash, createdAt, previous, files } = manifest;
  const body = {
    format: FORMAT,
    version: VERSION,
    storeId,
    lastSequence: lastSequence.toString(),
    records: records ?? null,
    contentHash: contentHash ?? null,
    createdAt,
    previous: previous ?? null,
    files,
  };
  return print({ ...body, sha256: sumOf(body) });
}

function print(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function sumOf(body: unknown): string {
  return createHash('sha256').update(print(body)).digest('hex');
}

/**
 * Opens the directory of a finished backup and keeps it open while its files are read.
 *
 * @throws StoreError LODESTORE_NOT_A_BACKUP if there is no directory; system errors unchanged
 */
export async function openBackup(fs: FileSystem, backup: string): Promise<Directory> {
  try {
    return await Directory.open(fs, backup);
  } catch (error) {
    throw isAbsent(error) ? notABackup(backup) : error;
  }
}

/**
 * Reads the manifest of a finished backup.
 *
 * @throws StoreError LODESTORE_NOT_A_BACKUP, LODESTORE_INCOMPLETE, LODESTORE_UNSUPPORTED_FORMAT;
 *   CorruptionError if the manifest is not as it was written; system errors unchanged
 */
export async function readManifest(backup: Directory): Promise<BackupManifest> {
  await refuseIncompleteCopy(backup, backup.realPath);
  const path = join(backup.realPath, BACKUP_NAME);
  const text = await readText(backup, path);
  if (text === undefined) throw notABackup(backup.realPath);
  return decodeManifest(text, path);
}

function notABackup(path: string): StoreError {
  const message = `${path} is not a backup: there is no ${BACKUP_NAME} in it`;
  return new StoreError('LODESTORE_NOT_A_BACKUP', message, { path });
}

function isAbsent(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

async function readText(fs: FileSystem, path: string): Promise<string | undefined> {
  const file = await fs.open(path, 'r').catch((error: unknown) => {
    if (isAbsent(error)) return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { sizeBytes } = await file.stat();
    const bytes = new Uint8Array(Math.min(sizeBytes, MAX_MANIFEST_BYTES));
    return new TextDecoder().decode(bytes.subarray(0, await readFully(file, bytes, 0)));
  } finally {
    await file.close();
  }
}

/** Throws like `readManifest`. `path` is for the errors. */
export function decodeManifest(text: string, path: string): BackupManifest {
  const value = parse(text);
  if (value?.['format'] !== FORMAT) throw damaged(path, 'it is not the manifest of a backup');
  const { sha256, ...body } = value;
  if (sha256 !== sumOf(body)) throw damaged(path, 'the manifest does not match its checksum');
  // All versions have format, version and checksum in these fields.
  if (value['version'] !== VERSION) {
    throw new StoreError(
      'LODESTORE_UNSUPPORTED_FORMAT',
      `${path} has version ${String(value['version'])}, which this version of lodestore does not read`,
      { path },
    );
  }
  const { storeId, lastSequence, records, contentHash, createdAt, previous, files } =
    body as unknown as WrittenBody;
  for (const file of files) {
    const { kind } = parseFileName(file.name);
    // A forged manifest has a valid checksum too, and must not cause writes to other paths.
    if (kind !== 'log' && kind !== 'snapshot') throw damaged(path, `it lists "${file.name}"`);
  }
  return {
    storeId,
    lastSequence: BigInt(lastSequence),
    records: records ?? undefined,
    contentHash: contentHash ?? undefined,
    createdAt,
    previous: previous ?? undefined,
    files,
  };
}

/** The checksum is valid, so the fields are what `encodeManifest` has written. */
interface WrittenBody {
  readonly storeId: string;
  readonly lastSequence: string;
  readonly records: number | null;
  readonly contentHash: string | null;
  readonly createdAt: string;
  readonly previous: string | null;
  readonly files: readonly BackupFile[];
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function damaged(path: string, reason: string): CorruptionError {
  return new CorruptionError({ path, offset: 0, reason, hint: 'Use another backup' });
}

/** Sum of the files' bytes. */
export function totalBytesOf(files: readonly { readonly lengthBytes: number }[]): number {
  return files.reduce((sum, file) => sum + file.lengthBytes, 0);
}
