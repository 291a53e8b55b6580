import { checkSignal } from '../../base/abort.ts';
import {
  requireBoolean,
  requireFunction,
  requireKnownFields,
  type FieldsOf,
} from '../../base/fields.ts';
import {
  DEFAULT_QUEUE_BATCHES,
  DEFAULT_QUEUE_BYTES,
  DEFAULT_ROTATE_BYTES,
  DEFAULT_MERGE_BYTES,
  MAX_TIMER_MS,
} from '../../base/limits.ts';
import {
  resolveDurability,
  type ResolvedDurability,
  type StoreDurability,
} from '../batch/durability.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { OpenProgress } from '../recovery/recovery-report.ts';
import { resolveRetention } from '../changes/retained-logs.ts';

/** Options of `MetadataStore.open`. Every default is safe. */
export interface OpenOptions {
  /**
   * What to do with damage. `strict` (default): open rejects with `CorruptionError` and changes
   * nothing. `salvage`: damaged originals are moved to `quarantine/`, every frame that verifies is
   * kept, and `store.recovery.losses` lists what is lost.
   */
  readonly recovery?: 'strict' | 'salvage';
  /** Takes no lock, changes nothing, refuses writes. Default false. */
  readonly readOnly?: boolean;
  /**
   * With `readOnly`: shows new batches as another store writes them. A batch is shown at most
   * `everyMs` (default 100, 1 to 3,600,000) + 50 ms plus reading time after its promise resolved; a
   * deferred one after its sync. Default: shows the state at the open, until `store.refresh()`.
   */
  readonly follow?: boolean | { readonly everyMs?: number };
  /**
   * Creates the directory and the store if they do not exist. Default true; never when read-only.
   */
  readonly createIfMissing?: boolean;
  /** Aborts the open. Nothing has been changed then. */
  readonly signal?: AbortSignal;
  /** Reports progress: about once per 4 MiB read, or per second in phase `lease`. */
  readonly onProgress?: (progress: OpenProgress) => void;
  /**
   * When batches without their own `durability` are acknowledged. `sync` (default): when they are
   * on stable storage. `{ syncEveryMs }`, 1 to 3,600,000: when they are in the log and visible.
   * They survive the end of the process, including a kill. A power failure can lose the newest
   * batches, at most those of this interval and one sync; if one is missing, so is every later one.
   * `store.sync()` waits until none can be lost.
   */
  readonly durability?: StoreDurability;
  /**
   * How groups are written. `background` (default): by non-blocking calls. `inline`: by calls that
   * block this thread until the group is durable, also for `insertBatch`; this enables
   * `insertBatchSync`. For batch jobs and devices with fast syncs. Not for a process that serves
   * requests: nothing else runs during a write.
   */
  readonly commits?: 'background' | 'inline';
  /** Length in bytes at which a log is rotated. Default 64 MiB, at least 64 KiB. */
  readonly rotateBytes?: number;
  /**
   * A merge is due when the logs hold more than this and more than the snapshot. It is also due
   * when it frees more than four times this many bytes of memory, in rows that newer ones replace
   * or delete, and at least as much as it leaves; and when reads have passed over a
   * million deletes, and over one for each 16 bytes of snapshot and logs. Default 8 MiB.
   */
  readonly mergeBytes?: number;
  /** Bytes of rows that may be queued before `insertBatch` waits. Default 64 MiB. */
  readonly queueBytes?: number;
  /** Batches that may be queued before `insertBatch` waits. Default 65,536. */
  readonly queueBatches?: number;
  /**
   * Above this many bytes of unmerged logs, writes are delayed; above twice as many, they are
   * rejected. Default: 1 GiB, or eight times the snapshot if that is more. The same applies to
   * replaced rows and deletes in memory, above four times the bytes that make a merge due.
   */
  readonly logLimitBytes?: number;
  /**
   * Limit in bytes of all files of the store, including the second snapshot of a merge. Puts are
   * refused with `StoreFullError` before it is exceeded. A fiftieth of it, at least 1 MiB, is kept
   * for deletes and merges. Records can use about half, because a merge needs the rest. Default: no
   * limit; at least 4 MiB.
   */
  readonly maxBytes?: number;
  /**
   * Size in bytes of `lodestore.reserve`, a file that is removed on a full disk so that deletes,
   * and a merge that fits, can still be written. Default 0: none.
   */
  readonly reserveFileBytes?: number;
  /**
   * Merged logs to keep for `store.changes()`, up to this many bytes of their files; the oldest are
   * removed first. An open without it removes all of them. Default: none.
   */
  readonly retain?: { readonly bytes?: number };
  /**
   * A sync of a log that takes longer than this, in milliseconds, emits `slowSync`, or a process
   * warning if there is no listener. Default 1,000, at most 2,147,483,647.
   */
  readonly slowSyncMs?: number;
  /** zstd level of logs, -7 to 19. Default 1. */
  readonly compressionLevel?: number;
  /**
   * Milliseconds without a refresh after which other hosts may take over the lease. A process that
   * is paused for longer continues only if no other process opened the store meanwhile. Use the
   * same value on all hosts that share the directory. Default 60,000; 2,000 to 2,147,483,647.
   */
  readonly leaseStaleMs?: number;
  /**
   * Threads that recovery may use, including the calling one. If another store is open in the
   * process, the calling thread leaves the work to the others. 1: no other thread. Default: the
   * number of cores, at most 8.
   */
  readonly threads?: number;
  /**
   * `before-open` (default): open resolves when every record has been read and verified.
   * `background`: when the logs are replayed and the snapshot's index is read. A read of a chunk
   * that is not in memory loads it, and throws the CorruptionError or StoreError that open would
   * have rejected with; other chunks are loaded in the background. Writes and merges wait for that:
   * see `store.warmed()`. Chunks with updates in the logs are loaded before open resolves. Not with
   * `recovery: 'salvage'`.
   */
  readonly warm?: 'before-open' | 'background';
  /**
   * What the store's files are on: `nodeFileSystem` of `lodestore/fs` (default), `CrashFs` of
   * `lodestore/testing`, or your own. On all but the default, merges and recovery run on this
   * thread, because other threads cannot reach the object.
   */
  readonly fileSystem?: FileSystem;
}

const OPEN_FIELDS: FieldsOf<OpenOptions> = {
  recovery: true,
  readOnly: true,
  follow: true,
  createIfMissing: true,
  signal: true,
  onProgress: true,
  durability: true,
  commits: true,
  rotateBytes: true,
  mergeBytes: true,
  queueBytes: true,
  queueBatches: true,
  logLimitBytes: true,
  maxBytes: true,
  reserveFileBytes: true,
  retain: true,
  slowSyncMs: true,
  compressionLevel: true,
  leaseStaleMs: true,
  threads: true,
  warm: true,
  fileSystem: true,
};

/** What every file system has. */
const FILE_SYSTEM_CALLS: FieldsOf<Omit<FileSystem, 'blocking'>> = {
  open: true,
  readDirectory: true,
  stat: true,
  rename: true,
  unlink: true,
  link: true,
  makeDirectory: true,
  removeDirectory: true,
  syncDirectory: true,
  freeBytes: true,
  tryLock: true,
  takeLease: true,
  breakLease: true,
  holdDirectory: true,
};

/** Options with defaults filled in. */
export interface ResolvedOptions {
  readonly recovery: 'strict' | 'salvage';
  readonly readOnly: boolean;
  /** Undefined: does not follow by itself. */
  readonly follow: { readonly everyMs: number } | undefined;
  readonly createIfMissing: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: OpenProgress) => void) | undefined;
  readonly durability: ResolvedDurability;
  readonly commits: 'background' | 'inline';
  readonly rotateBytes: number;
  readonly mergeBytes: number;
  readonly queueBytes: number;
  readonly queueBatches: number;
  readonly logLimitBytes: number | undefined;
  readonly maxBytes: number | undefined;
  readonly reserveFileBytes: number;
  readonly retainBytes: number;
  readonly slowSyncMs: number;
  readonly compressionLevel: number;
  readonly leaseStaleMs: number | undefined;
  readonly threads: number | undefined;
  readonly warm: 'before-open' | 'background';
  readonly fileSystem: FileSystem | undefined;
}

function integer(
  name: keyof OpenOptions,
  value: number | undefined,
  bounds: { readonly default: number; readonly min: number; readonly max?: number },
): number {
  if (value === undefined) return bounds.default;
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  if (typeof value !== 'number') throw new TypeError(`options.${name} must be a number`);
  if (!Number.isSafeInteger(value) || value < bounds.min || value > max) {
    throw new RangeError(`options.${name} must be an integer from ${bounds.min} to ${max}`);
  }
  return value;
}

/** Retained logs count towards the limit. Half of it remains for records and their merge. */
function requireRoom(maxBytes: number | undefined, retainBytes: number): void {
  if (maxBytes === undefined || retainBytes <= maxBytes / 2) return;
  throw new RangeError('options.retain.bytes must be at most half of options.maxBytes');
}

/** Throws TypeError that names the option. Numbers and names are checked at their defaults. */
function checkTypes(options: OpenOptions): void {
  requireKnownFields(options, OPEN_FIELDS, 'options');
  requireBoolean(options.readOnly, 'options.readOnly');
  requireBoolean(options.createIfMissing, 'options.createIfMissing');
  requireFunction(options.onProgress, 'options.onProgress');
  checkSignal(options.signal);
}

/** Checks options and fills in defaults. Throws TypeError or RangeError that names the option. */
export function resolveOptions(options: OpenOptions): ResolvedOptions {
  checkTypes(options);
  const { recovery = 'strict', readOnly = false, createIfMissing = true } = options;
  if (recovery !== 'strict' && recovery !== 'salvage') {
    throw new RangeError("options.recovery must be 'strict' or 'salvage'");
  }
  if (recovery === 'salvage' && readOnly) {
    throw new RangeError(
      "options.recovery 'salvage' changes the directory; it cannot be combined with readOnly",
    );
  }
  const optional = (
    name: 'logLimitBytes' | 'maxBytes' | 'leaseStaleMs' | 'threads',
    min: number,
    max?: number,
  ) =>
    options[name] === undefined
      ? undefined
      : integer(name, options[name], { default: 0, min, ...(max !== undefined && { max }) });
  const maxBytes = optional('maxBytes', 4 * 1024 * 1024);
  const retainBytes = resolveRetention(options.retain);
  requireRoom(maxBytes, retainBytes);
  return {
    recovery,
    readOnly,
    follow: followOption(options),
    createIfMissing: createIfMissing && !readOnly,
    signal: options.signal,
    onProgress: options.onProgress,
    durability: resolveDurability(options.durability),
    commits: commitsOption(options),
    rotateBytes: integer('rotateBytes', options.rotateBytes, {
      default: DEFAULT_ROTATE_BYTES,
      min: 64 * 1024,
    }),
    mergeBytes: integer('mergeBytes', options.mergeBytes, { default: DEFAULT_MERGE_BYTES, min: 1 }),
    queueBytes: integer('queueBytes', options.queueBytes, { default: DEFAULT_QUEUE_BYTES, min: 1 }),
    queueBatches: integer('queueBatches', options.queueBatches, {
      default: DEFAULT_QUEUE_BATCHES,
      min: 1,
    }),
    logLimitBytes: optional('logLimitBytes', 1024 * 1024),
    maxBytes,
    reserveFileBytes: integer('reserveFileBytes', options.reserveFileBytes, { default: 0, min: 0 }),
    retainBytes,
    slowSyncMs: integer('slowSyncMs', options.slowSyncMs, {
      default: 1_000,
      min: 0,
      max: MAX_TIMER_MS,
    }),
    compressionLevel: integer('compressionLevel', options.compressionLevel, {
      default: 1,
      min: -7,
      max: 19,
    }),
    leaseStaleMs: optional('leaseStaleMs', 2_000, MAX_TIMER_MS),
    threads: optional('threads', 1),
    warm: warmOption(options),
    fileSystem: fileSystemOption(options),
  };
}

/** Milliseconds between two looks of a follower. */
const FOLLOW_EVERY_MS = 100;
const MAX_FOLLOW_EVERY_MS: number = 60 * 60 * 1000;
const FOLLOW_FIELDS: FieldsOf<{ everyMs: number }> = { everyMs: true };

function followOption({ follow = false, readOnly }: OpenOptions): ResolvedOptions['follow'] {
  if (follow === false) return undefined;
  if (readOnly !== true) {
    throw new RangeError('options.follow is for stores that are opened with readOnly');
  }
  if (follow === true) return { everyMs: FOLLOW_EVERY_MS };
  requireKnownFields(follow, FOLLOW_FIELDS, 'options.follow');
  const { everyMs = FOLLOW_EVERY_MS } = follow;
  if (typeof everyMs !== 'number') throw new TypeError('options.follow.everyMs must be a number');
  if (!Number.isSafeInteger(everyMs) || everyMs < 1 || everyMs > MAX_FOLLOW_EVERY_MS) {
    const range = `from 1 to ${MAX_FOLLOW_EVERY_MS}`;
    throw new RangeError(`options.follow.everyMs must be an integer ${range}`);
  }
  return { everyMs };
}

function fileSystemOption({ fileSystem }: OpenOptions): FileSystem | undefined {
  if (fileSystem === undefined) return undefined;
  const given = fileSystem as Partial<FileSystem> | null;
  for (const name of Object.keys(FILE_SYSTEM_CALLS) as (keyof FileSystem)[]) {
    if (typeof given?.[name] === 'function') continue;
    throw new TypeError(`options.fileSystem must be a FileSystem; it has no function ${name}`);
  }
  return fileSystem;
}

function commitsOption({ commits = 'background' }: OpenOptions): ResolvedOptions['commits'] {
  if (commits === 'background' || commits === 'inline') return commits;
  throw new RangeError("options.commits must be 'background' or 'inline'");
}

function warmOption({ warm = 'before-open', recovery }: OpenOptions): ResolvedOptions['warm'] {
  if (warm !== 'before-open' && warm !== 'background') {
    throw new RangeError("options.warm must be 'before-open' or 'background'");
  }
  if (warm === 'background' && recovery === 'salvage') {
    throw new RangeError(
      "options.recovery 'salvage' reads all files before opening; it cannot be combined with warm 'background'",
    );
  }
  return warm;
}
