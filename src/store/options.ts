import {
  DEFAULT_QUEUE_BATCHES,
  DEFAULT_QUEUE_BYTES,
  DEFAULT_ROTATE_BYTES,
  DEFAULT_MERGE_BYTES,
} from '../base/limits.ts';
import type { OpenProgress } from './recovery-report.ts';

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
  /** Called as opening gets on, at most about once per 4 MiB read. */
  readonly onProgress?: (progress: OpenProgress) => void;
  /** A log is rotated when it is this long. Default 64 MiB, at least 64 KiB. */
  readonly rotateBytes?: number;
  /** A merge is due when the logs hold more than this and more than the snapshot. Default 8 MiB. */
  readonly mergeBytes?: number;
  /** Bytes of rows that may be queued before `insertBatch` waits. Default 64 MiB. */
  readonly queueBytes?: number;
  /** Batches that may be queued before `insertBatch` waits. Default 65,536. */
  readonly queueBatches?: number;
  /**
   * Past this many bytes of logs that no merge has taken in, writes slow down; past twice as many they are
   * rejected. Default: 1 GiB, or eight times the snapshot if that is more.
   */
  readonly logLimitBytes?: number;
  /** zstd level of logs, -7 to 19. Default 1. */
  readonly compressionLevel?: number;
  /**
   * How long the lease that other hosts see may go without a refresh before they may take it, in
   * milliseconds. A process that stalls for longer is fenced. Default 60,000, at least 2,000.
   */
  readonly leaseStaleMs?: number;
  /** Worker threads that recovery may use. Default: as many as cores, at most 8. */
  readonly threads?: number;
}

/** Options after defaults. */
export interface ResolvedOptions {
  readonly recovery: 'strict' | 'salvage';
  readonly readOnly: boolean;
  readonly createIfMissing: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: OpenProgress) => void) | undefined;
  readonly rotateBytes: number;
  readonly mergeBytes: number;
  readonly queueBytes: number;
  readonly queueBatches: number;
  readonly logLimitBytes: number | undefined;
  readonly compressionLevel: number;
  readonly leaseStaleMs: number | undefined;
  readonly threads: number | undefined;
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

/** Checks options and fills in defaults. Throws TypeError or RangeError that names the option. */
export function resolveOptions(options: OpenOptions): ResolvedOptions {
  const { recovery = 'strict', readOnly = false, createIfMissing = true } = options;
  if (recovery !== 'strict' && recovery !== 'salvage') {
    throw new RangeError("options.recovery must be 'strict' or 'salvage'");
  }
  if (recovery === 'salvage' && readOnly) {
    throw new RangeError("options.recovery 'salvage' changes the directory: not with readOnly");
  }
  const optional = (name: 'logLimitBytes' | 'leaseStaleMs' | 'threads', min: number) =>
    options[name] === undefined ? undefined : integer(name, options[name], { default: 0, min });
  return {
    recovery,
    readOnly,
    createIfMissing: createIfMissing && !readOnly,
    signal: options.signal,
    onProgress: options.onProgress,
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
    compressionLevel: integer('compressionLevel', options.compressionLevel, {
      default: 1,
      min: -7,
      max: 19,
    }),
    leaseStaleMs: optional('leaseStaleMs', 2_000),
    threads: optional('threads', 1),
  };
}
