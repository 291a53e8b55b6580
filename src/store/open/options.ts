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
import type { OpenProgress } from '../recovery/recovery-report.ts';
import { resolveRetention } from '../changes/retained-logs.ts';

/** How `MetadataStore.open` behaves. Every default is safe. */
export interface OpenOptions {
  /**
   * What to do with damage. `strict` (default): open rejects with `CorruptionError` and changes nothing.
   * `salvage`: damaged originals are moved to `quarantine/`, every frame that verifies is kept, and
   * `store.recovery.losses` says exactly what is gone.
   */
  readonly recovery?: 'strict' | 'salvage';
  /** Takes no lock, changes nothing, refuses writes. Default false. */
  readonly readOnly?: boolean;
  /** Makes the directory, and the store in it, if there is none. Default true; never when read-only. */
  readonly createIfMissing?: boolean;
  /** Stops opening; what has been read is dropped, nothing has been changed. */
  readonly signal?: AbortSignal;
  /** Called as opening gets on, at most about once per 4 MiB read, or per second in phase `lease`. */
  readonly onProgress?: (progress: OpenProgress) => void;
  /**
   * When batches are acknowledged that do not say. `sync` (default): when they are on stable storage.
   * `{ syncEveryMs }`: when they are in the log and visible. They survive the end of the process, also a kill;
   * a loss of power can take the last ones, of at most so many milliseconds and the time of one sync, never
   * one without all behind it. `store.sync()` waits until nothing can be lost. 1 to 3,600,000.
   */
  readonly durability?: StoreDurability;
  /**
   * How groups are written. `background` (default): beside the event loop. `inline`: by calls that hold up this thread
   * until the group is durable, also those of `insertBatch`; and `insertBatchSync` is there. For batch jobs and devices
   * that sync fast. Not for a process that serves requests: nothing else runs during a write.
   */
  readonly commits?: 'background' | 'inline';
  /** A log is rotated when it is this long. Default 64 MiB, at least 64 KiB. */
  readonly rotateBytes?: number;
  /**
   * A merge is due when the logs hold more than this and more than the snapshot. It is also due when it frees more
   * than four times this many bytes of memory, in rows that newer ones replace or delete, and at least as much as it
   * leaves. Default 8 MiB.
   */
  readonly mergeBytes?: number;
  /** Bytes of rows that may be queued before `insertBatch` waits. Default 64 MiB. */
  readonly queueBytes?: number;
  /** Batches that may be queued before `insertBatch` waits. Default 65,536. */
  readonly queueBatches?: number;
  /**
   * Past this many bytes of logs that no merge has taken in, writes slow down; past twice as many they are
   * rejected. Default: 1 GiB, or eight times the snapshot if that is more. The same holds for replaced rows and
   * deletes in memory, past four times the bytes that make a merge due.
   */
  readonly logLimitBytes?: number;
  /**
   * Most bytes that all files of the store may take together, a merge's second snapshot included: puts are
   * refused with `StoreFullError` before it is passed. The last fiftieth of it, at least 1 MiB, is kept for
   * deletes and merges. As a merge needs as much again, records can take about half. Default: no limit; at
   * least 4 MiB.
   */
  readonly maxBytes?: number;
  /**
   * Size of `lodestore.reserve`, a file that is given up on a full disk, so that deletes, and a merge if it
   * needs no more, can still be written. Default 0: none.
   */
  readonly reserveFileBytes?: number;
  /**
   * Merged logs that are kept for `store.changes()`, up to so many bytes of their files; the oldest go first.
   * Default: none, merges remove what they have taken in.
   */
  readonly retain?: { readonly bytes?: number };
  /**
   * A sync of a log that takes longer than this is told: as the event `slowSync`, or as a warning of the
   * process where nobody listens. Default 1,000 ms, at most 2,147,483,647.
   */
  readonly slowSyncMs?: number;
  /** zstd level of logs, -7 to 19. Default 1. */
  readonly compressionLevel?: number;
  /**
   * How long the lease that other hosts see may go without a refresh before they may take it, in
   * milliseconds. A process that stalls for longer goes on only when nobody else has had the store
   * meanwhile. The same on all hosts that share the directory. Default 60,000; 2,000 to 2,147,483,647.
   */
  readonly leaseStaleMs?: number;
  /**
   * Threads that recovery may use, this one among them; where another store is open in the process, this one serves
   * that and leaves the work to the others. 1: opening uses no other thread. Default: as many as cores, at most 8.
   */
  readonly threads?: number;
  /**
   * `before-open` (default): open resolves when every record has been read and verified. `background`: when the
   * logs are replayed and the snapshot's index is read. A read into a part that is not in memory yet reads it
   * then, and throws the CorruptionError or the StoreError that open would have rejected with; the rest is read
   * in the background. Writes and merges wait for it: see `store.warmed()`. Parts that updates in the logs
   * concern are read before open resolves. Not with `recovery: 'salvage'`.
   */
  readonly warm?: 'before-open' | 'background';
}

/** Options after defaults. */
export interface ResolvedOptions {
  readonly recovery: 'strict' | 'salvage';
  readonly readOnly: boolean;
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

/** Merged logs that are kept count: half of the limit is left to the records and their merge. */
function requireRoom(maxBytes: number | undefined, retainBytes: number): void {
  if (maxBytes === undefined || retainBytes <= maxBytes / 2) return;
  throw new RangeError('options.retain.bytes must be at most half of options.maxBytes');
}

/** Checks options and fills in defaults. Throws TypeError or RangeError that names the option. */
export function resolveOptions(options: OpenOptions): ResolvedOptions {
  const { recovery = 'strict', readOnly = false, createIfMissing = true } = options;
  if (recovery !== 'strict' && recovery !== 'salvage') {
    throw new RangeError("options.recovery must be 'strict' or 'salvage'");
  }
  if (recovery === 'salvage' && readOnly) {
    throw new RangeError("options.recovery 'salvage' changes the directory: not with readOnly");
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
  };
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
      "options.recovery 'salvage' reads all before opening: not with warm 'background'",
    );
  }
  return warm;
}
