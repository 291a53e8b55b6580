import { checkSignal } from '../base/abort.ts';
import { requireKnownFields, type FieldsOf } from '../base/fields.ts';
import { Follower, type ReadStore } from './follow/follower.ts';
import { pacingOf, timerOf } from './open/environment.ts';
import type { OpenedStore } from './open/opened-store.ts';
import { tableOf } from './open/recovered-store.ts';
import { ReadableStore, type TableSource } from './readable-store.ts';
import type { RecoveredState } from './recovery/recovery.ts';
import type { Table } from '../table/table.ts';

export interface ReachedOptions {
  /** Ends the wait with an AbortedError. */
  readonly signal?: AbortSignal | undefined;
}

const REACHED_FIELDS: FieldsOf<ReachedOptions> = { signal: true };

/** What keeps the records of a store that is open for reading up to date. */
export function makeFollower(opened: OpenedStore): Follower | undefined {
  const { directory: fs, environment, options, recovered, reading } = opened;
  if (!options.readOnly) return undefined;
  const { storeId } = recovered.identity;
  const { mergeBytes, follow } = options;
  const read = async (signal: AbortSignal): Promise<ReadStore> => {
    const again = await reading.readAgain(signal);
    return readStore(again, tableOf(again));
  };
  const at = { fs, directory: fs.realPath, storeId };
  const pace = {
    pacing: pacingOf(environment),
    startTimer: timerOf(environment),
    everyMs: follow?.everyMs,
  };
  const first = readStore(recovered.state, recovered.table);
  return new Follower({ at, ...pace, mergeBytes, read }, first, follow !== undefined);
}

function readStore({ storeId, snapshot, verdict }: RecoveredState, table: Table): ReadStore {
  const { number, lastSequence } = verdict.last;
  return { table, storeId, number, lastSequence, snapshotNumber: snapshot?.number };
}

/** A store whose records another store may change. */
export abstract class FollowingStore extends ReadableStore {
  readonly #source: TableSource;
  readonly #follower: Follower | undefined;

  protected constructor(source: TableSource, follower: Follower | undefined) {
    super(source);
    this.#source = source;
    this.#follower = follower;
  }

  /**
   * Shows what another store has written to the directory of a read-only store. Resolves when all
   * batches that were durable, and noted by their writer, before the call are visible. A store that
   * is open for writing shows all batches anyway.
   * @throws CorruptionError; PositionExpiredError when the files were replaced; StoreClosedError;
   *   StoreError; as rejections. What was visible stays
   */
  async refresh(): Promise<void> {
    this.#source.records();
    await this.#follower?.refresh();
  }

  /**
   * Resolves when the batch with this sequence number, as `insertBatch` resolved to it, is visible
   * here. Looks for it every 10 ms, and keeps the process alive meanwhile. Without a `signal` it
   * waits for as long as it takes: a deferred batch shows after its sync.
   * @throws TypeError or RangeError for the arguments, and for a batch that this store, if it is
   *   open for writing, has not written; AbortedError; else as `refresh`; as rejections
   */
  async reached(sequence: bigint | number, options: ReachedOptions = {}): Promise<void> {
    requireKnownFields(options, REACHED_FIELDS, 'options');
    const { signal } = options;
    checkSignal(signal);
    const wanted = sequenceOf(sequence);
    this.#source.records();
    if (this.#follower !== undefined) return this.#follower.reached(wanted, signal);
    if (wanted <= this.#source.lastSequence()) return;
    throw new RangeError(`this store has not written a batch ${wanted}`);
  }
}

function sequenceOf(sequence: bigint | number): bigint {
  if (typeof sequence !== 'bigint' && typeof sequence !== 'number') {
    throw new TypeError('sequence must be a bigint or a number');
  }
  if (typeof sequence === 'number' && !Number.isSafeInteger(sequence)) {
    throw new RangeError('sequence must be an integer');
  }
  if (sequence < 0) throw new RangeError('sequence must not be negative');
  return BigInt(sequence);
}
