import { checkSignal } from '../../base/abort.ts';
import { requireKnownFields, requireMethod, type FieldsOf } from '../../base/fields.ts';
import { MAX_TIMER_MS } from '../../base/limits.ts';
import type { OpenOptions } from '../../store/open/options.ts';
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts';
import type { Elector } from '../log/elector.ts';
import type { SharedLog } from '../log/shared-log.ts';

/** Options that a replicated store passes on to its local store. */
export type ReplicaStoreOptions = Pick<
  OpenOptions,
  | 'onProgress'
  | 'rotateBytes'
  | 'mergeBytes'
  | 'queueBytes'
  | 'queueBatches'
  | 'logLimitBytes'
  | 'maxBytes'
  | 'reserveFileBytes'
  | 'retain'
  | 'slowSyncMs'
  | 'compressionLevel'
  | 'leaseStaleMs'
  | 'threads'
  | 'warm'
>;

/** Options of `ReplicatedStore.open`. */
export interface ReplicatedOptions extends ReplicaStoreOptions {
  /** The shared log of this store. Closed with the store, and if the open fails. */
  readonly log: SharedLog;
  /**
   * The checkpoint store. Closed as the log is. Without it, the log cannot be trimmed, and a node
   * behind the start of the log cannot be rebuilt.
   */
  readonly checkpoints?: CheckpointStore | undefined;
  /** Elects the primary. Without it, only `promote()` makes a node the primary. */
  readonly elector?: Elector | undefined;
  /** The address of this node for clients, announced when it is the primary. Default: empty. */
  readonly address?: string | undefined;
  /**
   * Milliseconds without an answer of the engine after which waiting batches are rejected: those in
   * flight as `unknown`, the others as `not-applied`. A `barrier()` is rejected so long after the
   * call. An elected node that applies nothing for so long before it takes over resigns. Default
   * 10,000.
   */
  readonly commitTimeoutMs?: number | undefined;
  /**
   * Milliseconds for which the log may appear to end before the store's state; after that, entries
   * count as lost. Must be longer than any engine node can lag. Default 15,000.
   */
  readonly lostAfterMs?: number | undefined;
  /** Milliseconds between requests for the end of the log, for `lag`. Default 500. */
  readonly pollMs?: number | undefined;
  /**
   * Milliseconds between syncs of the local log. What a crash loses there is read again from the
   * shared log. Default 100.
   */
  readonly syncEveryMs?: number | undefined;
  /**
   * Milliseconds after which a node writes a checkpoint if no other node has; the primary then
   * trims the log. Needs `checkpoints`. 0: only `checkpoint()` writes one. Default 600,000.
   */
  readonly checkpointEveryMs?: number | undefined;
  /** Aborts the open. */
  readonly signal?: AbortSignal | undefined;
}

const REPLICATED_FIELDS: FieldsOf<ReplicatedOptions> = {
  log: true,
  checkpoints: true,
  elector: true,
  address: true,
  commitTimeoutMs: true,
  lostAfterMs: true,
  pollMs: true,
  syncEveryMs: true,
  checkpointEveryMs: true,
  signal: true,
  onProgress: true,
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
};

/** The options with defaults applied. */
export interface ResolvedReplicatedOptions {
  readonly log: SharedLog;
  readonly checkpoints: CheckpointStore | undefined;
  readonly elector: Elector | undefined;
  readonly address: string;
  readonly commitTimeoutMs: number;
  readonly lostAfterMs: number;
  readonly pollMs: number;
  /** 0: never. */
  readonly checkpointEveryMs: number;
  readonly signal: AbortSignal | undefined;
  /** Options of the local store. */
  readonly store: OpenOptions;
}

const LONGEST_ADDRESS_BYTES = 1_024;
const LEAST_ENTRY_BYTES = 4_096;

/** Throws a TypeError or RangeError that names the option. */
export function resolveReplicated(options: ReplicatedOptions): ResolvedReplicatedOptions {
  requireKnownFields(options, REPLICATED_FIELDS, 'options');
  const { log, checkpoints, elector, address = '', commitTimeoutMs, lostAfterMs, pollMs } = options;
  const { syncEveryMs = 100, checkpointEveryMs, signal, ...rest } = options;
  requireMethod(log, 'append', { name: 'options.log', kind: 'a SharedLog' });
  if (elector !== undefined) {
    requireMethod(elector, 'campaign', { name: 'options.elector', kind: 'an Elector' });
  }
  if (checkpoints !== undefined) {
    const kind = { name: 'options.checkpoints', kind: 'a CheckpointStore' };
    requireMethod(checkpoints, 'list', kind);
  }
  if (!(log.maxEntryBytes >= LEAST_ENTRY_BYTES)) {
    throw new RangeError(`options.log.maxEntryBytes must be at least ${LEAST_ENTRY_BYTES}`);
  }
  if (typeof address !== 'string') throw new TypeError('options.address must be a string');
  if (Buffer.byteLength(address) > LONGEST_ADDRESS_BYTES) {
    throw new RangeError(`options.address must have at most ${LONGEST_ADDRESS_BYTES} bytes`);
  }
  checkSignal(signal);
  const local: Partial<Record<keyof ReplicatedOptions, unknown>> = { ...rest };
  for (const own of OWN_FIELDS) delete local[own];
  return {
    log,
    checkpoints,
    elector,
    address,
    commitTimeoutMs: milliseconds('commitTimeoutMs', commitTimeoutMs, 10_000),
    lostAfterMs: milliseconds('lostAfterMs', lostAfterMs, 15_000),
    pollMs: milliseconds('pollMs', pollMs, 500),
    checkpointEveryMs:
      checkpointEveryMs === 0 ? 0 : milliseconds('checkpointEveryMs', checkpointEveryMs, 600_000),
    signal,
    store: { ...(local as OpenOptions), durability: { syncEveryMs } },
  };
}

/**
 * As `resolveReplicated`. If it throws, closes the log and the checkpoint store, as any failed open
 * does, and returns a promise that rejects.
 */
export function resolveOrClose(
  options: ReplicatedOptions,
): ResolvedReplicatedOptions | Promise<never> {
  try {
    return resolveReplicated(options);
  } catch (error) {
    return closeAfter(options, error);
  }
}

async function closeAfter(options: ReplicatedOptions, error: unknown): Promise<never> {
  const { log, checkpoints } = Object(options) as Partial<ReplicatedOptions>;
  // Either may be something else, which cannot be closed.
  for (const one of [log, checkpoints]) {
    await Promise.resolve(one)
      .then((it) => it?.close())
      .catch(() => undefined);
  }
  throw error;
}

const OWN_FIELDS = [
  'log',
  'checkpoints',
  'elector',
  'address',
  'commitTimeoutMs',
  'lostAfterMs',
  'pollMs',
] as const;

function milliseconds(name: string, value: number | undefined, byDefault: number): number {
  if (value === undefined) return byDefault;
  if (typeof value !== 'number') throw new TypeError(`options.${name} must be a number`);
  if (!Number.isInteger(value) || value < 1 || value > MAX_TIMER_MS) {
    throw new RangeError(`options.${name} must be an integer from 1 to ${MAX_TIMER_MS}`);
  }
  return value;
}
