import { checkSignal } from '../../base/abort.ts';
import {
  requireBoolean,
  requireFunction,
  requireKnownFields,
  type FieldsOf,
} from '../../base/fields.ts';
import { withJsonForm } from '../../base/json-form.ts';
import { isInside, pathOf } from '../../base/path.ts';
import { absolutePathOf } from '../../fs/absolute-path.ts';
import { join, resolve } from 'node:path';
import { monotonicMs, wallMs } from '../../base/timers.ts';
import { CorruptionError, systemCode } from '../../base/errors.ts';
import { realPathOf, type Directory } from '../../fs/directory.ts';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { linkIfPossible } from '../../fs/link.ts';
import type { CopyHooks, FileSum } from './file-copy.ts';
import { copyFile, sumFile } from './file-copy.ts';
import { readCopy, requireSameContent, type CheckHooks, type CopyContent } from './backup-check.ts';
import {
  totalBytesOf,
  encodeManifest,
  openBackup,
  readManifest,
  type BackupFile,
  type BackupManifest,
} from './backup-manifest.ts';
import type { BackupSource, SourceFile } from './backup-source.ts';
import { badTarget, inParent } from './backup-target.ts';
import { StagedDirectory } from './staged-directory.ts';

/** Progress of a backup or a restore. */
export interface CopyProgress {
  readonly phase: 'copy' | 'verify';
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface BackupOptions {
  /** Aborts the backup and removes what was written. */
  readonly signal?: AbortSignal | undefined;
  /** Reports progress, about once per 512 KiB read. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /**
   * Opens the finished copy and compares number and content hash of its records with those of the
   * store. Takes the memory of a second store meanwhile. Default false: files are copied without a
   * check.
   */
  readonly verify?: boolean | undefined;
  /**
   * Directory of an earlier backup of this store: unchanged files are hard-linked from it, after
   * they have been read there and compared with its manifest.
   */
  readonly incremental?: string | undefined;
}

export interface BackupReport {
  /** Absolute path of the backup. */
  readonly target: string;
  /** Sequence number of the last batch in it. */
  readonly lastSequence: bigint;
  /** Undefined if not counted: the store was not open, and the copy was not verified. */
  readonly records: number | undefined;
  /** Content hash of all records, as of `MetadataStore.contentHash`; undefined unless verified. */
  readonly contentHash: string | undefined;
  readonly files: readonly BackupFile[];
  /** Bytes of all files; `copiedBytes` are those of copied files. */
  readonly bytes: number;
  readonly copiedBytes: number;
  readonly milliseconds: number;
}

/** What is known of a source besides its files, and how a copy is checked. */
export interface BackupContext {
  readonly fs: FileSystem;
  readonly check: Omit<CheckHooks, 'signal' | 'onProgress'>;
  /** The content that the copy must have, as far as known. Called only if the copy is verified. */
  readonly expected: () => Promise<Partial<CopyContent>>;
  readonly records: number | undefined;
  /** Damage of the source's files that was found before, if any. */
  readonly knownDamage?: () => CorruptionError | undefined;
}

const BACKUP_FIELDS: FieldsOf<BackupOptions> = {
  signal: true,
  onProgress: true,
  verify: true,
  incremental: true,
};

/**
 * Validates the arguments before anything is accessed. Returns the absolute path of `target`.
 * Throws TypeError.
 */
export function checkBackup(target: string | URL, options: BackupOptions): string {
  requireKnownFields(options, BACKUP_FIELDS, 'options');
  checkSignal(options.signal);
  requireFunction(options.onProgress, 'options.onProgress');
  requireBoolean(options.verify, 'options.verify');
  if (options.incremental !== undefined) pathOf(options.incremental, 'options.incremental');
  return absolutePathOf(pathOf(target, 'target'), 'target');
}

/**
 * Rejects a target that is inside `directory`, also through symbolic links, or if the directory was
 * renamed since it was opened. `directory` is a real path; `reason` is a predicate and a remedy.
 * Throws StoreError LODESTORE_BAD_TARGET; system errors unchanged.
 */
export async function requireOutside(
  fs: FileSystem,
  directory: string,
  target: string,
  reason: string,
): Promise<void> {
  const real = await realPathOf(fs, target);
  const isWithin = isInside(real, directory) || isInside(real, await realPathOf(fs, directory));
  if (isWithin) throw badTarget(target, reason);
}

export const IN_STORE = "is inside the store's directory. Use a path outside of it";

/**
 * Opens the previous backup of an incremental one. Throws like `readManifest`; LODESTORE_BAD_TARGET
 * if it is of another store.
 */
export async function readPrevious(
  fs: FileSystem,
  source: BackupSource,
  previous: string | undefined,
): Promise<Previous | undefined> {
  if (previous === undefined) return undefined;
  const directory = await openBackup(fs, resolve(previous));
  try {
    const manifest = await readManifest(directory);
    if (manifest.storeId === hexOf(source.storeId)) return { directory, manifest };
    const reason = 'is a backup of another store. Use an earlier backup of this store';
    throw badTarget(directory.realPath, reason);
  } catch (error) {
    await directory.close();
    throw error;
  }
}

/** `directory` stays open until the backup is written. */
export interface Previous {
  readonly directory: Directory;
  readonly manifest: BackupManifest;
}

/**
 * Writes a backup of `source` to `target`, an absolute path from `checkBackup`. On any failure it
 * removes what was written. Rejects with errors of the store and the system and with the signal's
 * reason, unchanged.
 *
 * A file with several names must never change. Snapshots, and logs with a successor, never change.
 * The last log does: while it is live, and when recovery rewrites its last group, in the store or
 * in a backup that is opened. So the last log is copied, never linked, and a log is never linked
 * from a backup whose last log it was.
 */
export async function writeBackup(
  context: BackupContext,
  source: BackupSource,
  target: string,
  options: BackupOptions,
): Promise<BackupReport> {
  options.signal?.throwIfAborted();
  refuseKnownDamage(context, options);
  const previous = await readPrevious(context.fs, source, options.incremental);
  try {
    const fs = previous?.directory ?? context.fs;
    if (previous !== undefined) {
      const reason = 'is inside the previous backup. Use a path outside of it';
      await requireOutside(fs, previous.directory.realPath, target, reason);
    }
    const report = await inParent(fs, target, (parent, path) =>
      writeFiles({ ...context, fs: parent }, source, path, options, previous),
    );
    return withJsonForm({ ...report, target });
  } finally {
    await previous?.directory.close();
  }
}

/** Writes to `target`. All three directories are accessed through `context.fs`. */
async function writeFiles(
  context: BackupContext,
  source: BackupSource,
  target: string,
  options: BackupOptions,
  previous: Previous | undefined,
): Promise<BackupReport> {
  const start = monotonicMs();
  const createdAt = new Date(wallMs()).toISOString();
  const staged = await StagedDirectory.begin(context.fs, target);
  try {
    const writing = new BackupWriting(context, source, staged.path, options, previous);
    const files = await writing.placeFiles();
    const copy = options.verify === true ? await writing.verify() : undefined;
    options.signal?.throwIfAborted();
    // A merge may have found damage meanwhile.
    refuseKnownDamage(context, options);
    const manifest = {
      storeId: hexOf(source.storeId),
      lastSequence: source.lastSequence,
      records: copy?.records ?? context.records,
      contentHash: copy?.contentHash,
      createdAt,
      previous: options.incremental,
      files,
    };
    await staged.publish(encodeManifest(manifest));
    const { lastSequence, records, contentHash } = manifest;
    const copiedBytes = totalBytesOf(files.filter((file) => file.origin === 'copied'));
    const milliseconds = monotonicMs() - start;
    const bytes = totalBytesOf(files);
    return { target, lastSequence, records, contentHash, files, bytes, copiedBytes, milliseconds };
  } catch (error) {
    await staged.discard();
    throw error;
  }
}

/**
 * Refuses a backup of files with known damage, unless the finished copy is verified, because the
 * damage may have been a transient read error.
 */
function refuseKnownDamage({ knownDamage }: BackupContext, { verify }: BackupOptions): void {
  const damage = verify === true ? undefined : knownDamage?.();
  if (damage === undefined) return;
  const { offset, reason, firstSequence, lastSequence, affectedBytes } = damage;
  const hint =
    'No backup has been made. The open store has all records in memory: before it is closed, copy them to ' +
    'another store with entries(). With verify: true a backup reads the copy before it succeeds';
  throw new CorruptionError(
    { path: damage.path!, offset, reason, firstSequence, lastSequence, affectedBytes, hint },
    { cause: damage },
  );
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

class BackupWriting {
  readonly #context: BackupContext;
  readonly #source: BackupSource;
  readonly #path: string;
  readonly #options: BackupOptions;
  readonly #previous: Previous | undefined;
  readonly #hooks: CopyHooks;
  readonly #totalBytes: number;
  #doneBytes = 0;

  constructor(
    context: BackupContext,
    source: BackupSource,
    path: string,
    options: BackupOptions,
    previous: Previous | undefined,
  ) {
    this.#context = context;
    this.#source = source;
    this.#path = path;
    this.#options = options;
    this.#previous = previous;
    this.#totalBytes = totalBytesOf(source.files);
    this.#hooks = {
      signal: options.signal,
      onBytes: (lengthBytes) => {
        this.#doneBytes += lengthBytes;
        this.#report('copy', this.#doneBytes);
      },
    };
  }

  #report(phase: CopyProgress['phase'], doneBytes: number): void {
    const totalBytes = this.#totalBytes;
    this.#options.onProgress?.({ phase, doneBytes: Math.min(doneBytes, totalBytes), totalBytes });
  }

  async placeFiles(): Promise<BackupFile[]> {
    this.#report('copy', 0);
    const linked = await this.#linkFiles();
    const files: BackupFile[] = [];
    for (const file of this.#source.files) files.push(await this.#place(file, linked));
    await this.#context.fs.syncDirectory(this.#path);
    return files;
  }

  /** Links all files first: if a merge has removed a name by then, the file must be copied. */
  async #linkFiles(): Promise<ReadonlySet<string>> {
    const linked = new Set<string>();
    for (const { name, kind } of this.#source.files) {
      if (kind === 'last') continue;
      const existing = join(this.#source.directory, name);
      if (await linkIfPossible(this.#context.fs, existing, join(this.#path, name))) {
        linked.add(name);
      }
    }
    return linked;
  }

  async #place(source: SourceFile, linked: ReadonlySet<string>): Promise<BackupFile> {
    if (source.file !== undefined) return this.#placeFrom(source, source.file, linked);
    const directory = linked.has(source.name) ? this.#path : this.#source.directory;
    const file = await this.#context.fs.open(join(directory, source.name), 'r');
    try {
      return await this.#placeFrom(source, file, linked);
    } finally {
      await file.close();
    }
  }

  async #placeFrom(
    source: SourceFile,
    file: OpenFile,
    linked: ReadonlySet<string>,
  ): Promise<BackupFile> {
    const { name, lengthBytes } = source;
    if (linked.has(name)) {
      const { sha256 } = this.#whole(source, await sumFile(file, lengthBytes, this.#hooks));
      return { name, lengthBytes, sha256, origin: 'linked' };
    }
    const path = join(this.#path, name);
    const same = source.kind === 'last' ? undefined : await this.#findSame(source, file);
    if (same !== undefined && (await linkIfPossible(this.#context.fs, same.path, path))) {
      return { name, lengthBytes, sha256: same.sha256, origin: 'reused' };
    }
    const sum = await copyFile(this.#context.fs, file, path, lengthBytes, this.#hooks);
    const { sha256 } = this.#whole(source, sum);
    return { name, lengthBytes, sha256, origin: 'copied' };
  }

  /** The same file in the previous backup, unless it was the last log there. */
  async #findSame(
    source: SourceFile,
    file: OpenFile,
  ): Promise<{ readonly path: string; readonly sha256: string } | undefined> {
    const { name, lengthBytes } = source;
    const files = this.#previous?.manifest.files ?? [];
    const candidate = files.find((one) => one.name === name && one.lengthBytes === lengthBytes);
    const wasLast = candidate === files.at(-1) && name.startsWith('log');
    if (candidate === undefined || wasLast) return undefined;
    const hooks = { signal: this.#options.signal, onBytes: () => undefined };
    const { sha256 } = this.#whole(source, await sumFile(file, lengthBytes, hooks));
    if (sha256 !== candidate.sha256) return undefined;
    const path = join(this.#previous!.directory.realPath, name);
    if (!(await this.#isIntact(path, candidate, hooks))) return undefined;
    this.#hooks.onBytes(lengthBytes);
    return { path, sha256 };
  }

  /**
   * Whether a file of the previous backup still has the bytes that its manifest records. A file
   * that is damaged, missing or unreadable there is copied from the store again.
   */
  async #isIntact(path: string, recorded: BackupFile, hooks: CopyHooks): Promise<boolean> {
    try {
      const file = await this.#context.fs.open(path, 'r');
      try {
        return (await sumFile(file, recorded.lengthBytes, hooks)).sha256 === recorded.sha256;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      return false;
    }
  }

  #whole(source: SourceFile, sum: FileSum): FileSum {
    if (sum.lengthBytes === source.lengthBytes) return sum;
    throw new CorruptionError({
      path: join(this.#source.directory, source.name),
      offset: sum.lengthBytes,
      reason: `the file ends here, but ${source.lengthBytes} bytes were expected`,
      hint: 'No backup has been made. Run "lodestore verify" on the store',
    });
  }

  async verify(): Promise<CopyContent> {
    const { fs, check, expected } = this.#context;
    const { signal } = this.#options;
    this.#report('verify', 0);
    const onProgress = (doneBytes: number): void => this.#report('verify', doneBytes);
    const copy = await readCopy(fs, this.#path, { ...check, signal, onProgress });
    const wanted = { lastSequence: this.#source.lastSequence, ...(await expected()) };
    requireSameContent(this.#path, copy, wanted);
    return copy;
  }
}
