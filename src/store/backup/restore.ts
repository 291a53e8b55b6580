import { checkSignal } from '../../base/abort.ts';
import { requireFunction, requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { pathOf } from '../../base/path.ts';
import { absolutePathOf } from '../../fs/absolute-path.ts';
import { join } from 'node:path';
import { withJsonForm } from '../../base/json-form.ts';
import { monotonicMs } from '../../base/timers.ts';
import { CorruptionError, systemCode } from '../../base/errors.ts';
import { LOCK_NAME, MARKER_NAME } from '../../format/file-name.ts';
import type { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { totalBytesOf, openBackup, readManifest, type BackupFile } from './backup-manifest.ts';
import { requireOutside, type CopyProgress } from './backup.ts';
import { copyError } from './copy-error.ts';
import { copyFile, sumFile, type CopyHooks } from './file-copy.ts';
import { inParent } from './backup-target.ts';
import { StagedDirectory } from './staged-directory.ts';

export interface RestoreOptions {
  /** Aborts the restore and removes what was written. */
  readonly signal?: AbortSignal | undefined;
  /** Reports progress, about once per 512 KiB read. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
}

const RESTORE_FIELDS: FieldsOf<RestoreOptions> = { signal: true, onProgress: true };

export interface RestoreReport {
  /** Absolute path of the store. */
  readonly directory: string;
  /** Sequence number of the last batch in it. */
  readonly lastSequence: bigint;
  /** As in the backup's manifest. Undefined if it has no count. */
  readonly records: number | undefined;
  readonly files: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

/**
 * Restores a store to `directory` from a backup. Every file is copied and compared with its
 * checksum, and the directory gets its name when all of it is durable. Nothing is overwritten:
 * `directory` must not exist, or be an empty directory. The backup is only read.
 *
 * @throws CorruptionError if a file of the backup is not as it was written; StoreError
 *   (`LODESTORE_NOT_A_BACKUP`, `LODESTORE_INCOMPLETE`, `LODESTORE_BAD_TARGET`,
 *   `LODESTORE_UNSUPPORTED_FORMAT`, `LODESTORE_IO`), StoreFullError, StoreLockedError while another
 *   restore writes the same directory, AbortedError, TypeError; as rejections
 */
export async function restoreBackup(
  backup: string | URL,
  directory: string | URL,
  options: RestoreOptions = {},
): Promise<RestoreReport> {
  return restoreOn(nodeFileSystem, backup, directory, options);
}

/** Like `restoreBackup`, on another file system. */
export async function restoreOn(
  fs: FileSystem,
  backup: string | URL,
  directory: string | URL,
  options: RestoreOptions = {},
): Promise<RestoreReport> {
  requireKnownFields(options, RESTORE_FIELDS, 'options');
  checkSignal(options.signal);
  requireFunction(options.onProgress, 'options.onProgress');
  const from = absolutePathOf(pathOf(backup, 'backup'), 'backup');
  const to = absolutePathOf(pathOf(directory, 'directory'), 'directory');
  try {
    return await restore(fs, from, to, options);
  } catch (error) {
    throw copyError(error, `restoring ${from} to ${to}`, to, options.signal);
  }
}

async function restore(
  fs: FileSystem,
  backup: string,
  directory: string,
  options: RestoreOptions,
): Promise<RestoreReport> {
  options.signal?.throwIfAborted();
  const source = await openBackup(fs, backup);
  try {
    return await restoreFrom(source, directory, options);
  } finally {
    await source.close();
  }
}

async function restoreFrom(
  backup: Directory,
  directory: string,
  options: RestoreOptions,
): Promise<RestoreReport> {
  const start = monotonicMs();
  const { lastSequence, records, files } = await readManifest(backup);
  const reason = 'is inside the backup, which is only read. Use another path';
  await requireOutside(backup, backup.realPath, directory, reason);
  await inParent(backup, directory, async (fs, target) => {
    const isFinished = await StagedDirectory.finish(fs, target, (path, names) =>
      isRestored(fs, path, names, files, options),
    );
    if (!isFinished) await writeFiles(fs, backup.realPath, target, files, options);
  });
  const bytes = totalBytesOf(files);
  const milliseconds = monotonicMs() - start;
  return withJsonForm({
    directory,
    lastSequence,
    records,
    files: files.length,
    bytes,
    milliseconds,
  });
}

/** Both directories are accessed through `fs`. */
async function writeFiles(
  fs: FileSystem,
  backup: string,
  target: string,
  files: readonly BackupFile[],
  options: RestoreOptions,
): Promise<void> {
  const staged = await StagedDirectory.begin(fs, target);
  try {
    const hooks = hooksOf(totalBytesOf(files), options);
    for (const file of files) await restoreFile(fs, backup, staged.path, file, hooks);
    const marker = await fs.open(join(staged.path, MARKER_NAME), 'wx');
    await marker.close();
    options.signal?.throwIfAborted();
    await staged.publish(undefined);
  } catch (error) {
    await staged.discard();
    throw error;
  }
}

/** Whether a directory holds exactly the restored files, byte for byte. */
async function isRestored(
  fs: FileSystem,
  path: string,
  names: ReadonlySet<string>,
  files: readonly BackupFile[],
  { signal }: RestoreOptions,
): Promise<boolean> {
  const expected = new Set([MARKER_NAME, LOCK_NAME, ...files.map(({ name }) => name)]);
  if (expected.size !== names.size || [...expected].some((name) => !names.has(name))) return false;
  for (const { name, lengthBytes, sha256 } of files) {
    const file = await fs.open(join(path, name), 'r');
    try {
      if ((await file.stat()).sizeBytes !== lengthBytes) return false;
      const sum = await sumFile(file, lengthBytes, { signal, onBytes: () => undefined });
      if (sum.sha256 !== sha256) return false;
    } finally {
      await file.close();
    }
  }
  return true;
}

function hooksOf(totalBytes: number, options: RestoreOptions): CopyHooks {
  let doneBytes = 0;
  const onBytes = (lengthBytes: number): void => {
    doneBytes += lengthBytes;
    options.onProgress?.({ phase: 'copy', doneBytes, totalBytes });
  };
  onBytes(0);
  return { signal: options.signal, onBytes };
}

async function restoreFile(
  fs: FileSystem,
  backup: string,
  directory: string,
  { name, lengthBytes, sha256 }: BackupFile,
  hooks: CopyHooks,
): Promise<void> {
  const path = join(backup, name);
  const source = await fs.open(path, 'r').catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw damaged(path, 0, 'the file is missing');
  });
  try {
    const sum = await copyFile(fs, source, join(directory, name), lengthBytes, hooks);
    if (sum.lengthBytes < lengthBytes) {
      throw damaged(
        path,
        sum.lengthBytes,
        `the file ends here, but ${lengthBytes} bytes were expected`,
      );
    }
    if (sum.sha256 !== sha256) {
      throw damaged(path, 0, 'the file does not match its checksum in the manifest');
    }
  } finally {
    await source.close();
  }
}

function damaged(path: string, offset: number, reason: string): CorruptionError {
  const hint = 'Nothing has been restored. Use another backup';
  return new CorruptionError({ path, offset, reason, hint });
}
