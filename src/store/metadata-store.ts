import { EventEmitter } from 'node:events';
import { requireOpening } from '../base/fields.ts';
import { queueMicrotask } from '../base/timers.ts';
import { withJsonForm } from '../base/json-form.ts';
import { StoreClosedError, StoreError } from '../base/errors.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { CommitGate } from './commit/commit-gate.ts';
import type { Health } from './commit/health.ts';
import type { BoundOptions } from '../table/layer/key-range.ts';
import type { Table } from '../table/table.ts';
import type { BackupOptions, BackupReport } from './backup/backup.ts';
import { withOutcome } from './batch/batch-queue.ts';
import type { Change } from './changes/change.ts';
import type { FeedSet, ChangesOptions } from './changes/feed-set.ts';
import { openChannel, traced } from './observe/channels.ts';
import type { Condition } from './batch/condition.ts';
import { requireDurability } from './batch/durability.ts';
import {
  checkInsertOptions,
  checkSyncInsertOptions,
  splitInsertOptions,
  type Inserted,
  type InsertOptions,
} from './batch/insert-options.ts';
import { countOpenStore } from './open/open-stores.ts';
import type { StoreEnvironment } from './open/environment.ts';
import { openStore, type OpenedStore } from './open/opened-store.ts';
import type { OpenOptions } from './open/options.ts';
import type { RecoveryReport } from './recovery/recovery-report.ts';
import { FollowingStore, makeFollower } from './following-store.ts';
import type { Follower } from './follow/follower.ts';
import type { TableSource } from './readable-store.ts';
import { readStats, type StoreStats } from './stats.ts';
import { openFeeds } from './store-feeds.ts';
import { figuresOf } from './store-snapshot.ts';
import type { StoreEvents } from './observe/store-events.ts';
import { packUpdatesNow, toSource, type Update } from './batch/updates.ts';
import { BackgroundLoad } from './background-load.ts';
import { WriteBatch } from './batch/write-batch.ts';
import { closeWriter, inOrder, makeWriter, releaseDirectory, type Writer } from './writer.ts';

let makeStore: (opened: OpenedStore, gate: CommitGate | undefined) => MetadataStore;

/** Internal: `MetadataStore.open` in another environment, for `lodestore/testing`. */
export function openStoreIn(
  environment: StoreEnvironment | undefined,
  directory: string | URL,
  options: OpenOptions = {},
  gate?: CommitGate,
): Promise<MetadataStore> {
  const run = async (): Promise<MetadataStore> =>
    makeStore(await openStore(environment, directory, options), gate);
  const context = (): object => ({
    directory: String(directory),
    // The options are checked in `run`.
    readOnly: (options as OpenOptions | null)?.readOnly === true,
  });
  return traced(openChannel, context, run);
}

/**
 * A crash-safe map from u64 keys to (u64 value, bytes), in memory and on disk. Only one store
 * object can have a directory open for writing.
 */
export class MetadataStore extends FollowingStore implements AsyncDisposable {
  /** What recovery found and did when the store was opened. */
  readonly recovery: RecoveryReport;
  readonly #opened: OpenedStore;
  readonly #follower: Follower | undefined;
  readonly #backgroundLoad: BackgroundLoad;
  readonly #health: Health;
  readonly #writer: Writer | undefined;
  readonly #feeds: FeedSet;
  readonly #leave: () => void = countOpenStore();
  #closing: Promise<void> | undefined;

  static {
    makeStore = (opened, gate) => new MetadataStore(opened, makeFollower(opened), gate);
  }

  private constructor(
    opened: OpenedStore,
    follower: Follower | undefined,
    gate: CommitGate | undefined,
  ) {
    requireOpening(opened, 'MetadataStore');
    const { environment, lock, health, threads, recovered } = opened;
    const source: TableSource = {
      records: () => this.#readable(),
      lastSequence: () => this.#visibleSequence,
      hooks: { pause: environment.pause, requireOpen: () => this.#requireOpen() },
    };
    super(source, follower);
    this.recovery = withJsonForm(recovered.report);
    this.#opened = opened;
    this.#follower = follower;
    this.#health = health;
    this.#backgroundLoad = new BackgroundLoad(opened, (name, details) =>
      this.#announce(name, details),
    );
    this.#feeds = openFeeds(opened, () => this.#writer?.logs);
    this.#writer =
      lock &&
      makeWriter(opened, lock, {
        store: this,
        table: () => this.#readable(),
        feeds: this.#feeds,
        backgroundLoad: this.#backgroundLoad,
        announce: (name, details, unheard) => this.#announce(name, details, unheard),
        gate,
      });
    this.#follower?.start({
      whenWarm: this.#backgroundLoad.warmed,
      onFailed: (error) => this.#announce('followFailed', [error]),
    });
    threads.onShortage((error) => this.#announce('threadsUnavailable', [error]));
    health.onPoison((error) => {
      this.#feeds.ring();
      this.#announce('poisoned', [error]);
    });
  }

  /**
   * Opens the store in `directory` with every acknowledged record.
   * @throws StoreLockedError when another process or store has it open; CorruptionError when a file
   *   is damaged, with nothing changed; StoreError (`LODESTORE_NOT_A_DIRECTORY`,
   *   `LODESTORE_NOT_FOUND`, `LODESTORE_UNSUPPORTED_FORMAT`, `LODESTORE_ABORTED`, `LODESTORE_IO`);
   *   TypeError or RangeError for options
   */
  static async open(directory: string | URL, options: OpenOptions = {}): Promise<MetadataStore> {
    return openStoreIn(undefined, directory, options);
  }

  /**
   * Applies a batch. Resolves when the whole batch is durable and visible; nothing of it is visible
   * before. A deferred batch (`durability`) resolves when it is written and visible, and is durable
   * after the next sync. Batches become durable in the order of the calls; a batch with `sync` also
   * makes all earlier batches durable. Waits while the queue is full. An iterable must not change
   * until the promise settles; a `WriteBatch` may.
   *
   * Resolves to the sequence number of the batch. An empty batch has the number of the batch before
   * it.
   *
   * Conditions are evaluated in commit order, against all earlier batches and not against this
   * batch's own updates. If one fails, nothing of the batch is applied, and the promise rejects
   * with `ConditionFailedError` when the state that the condition saw is as durable as the batch
   * would have been.
   *
   * Every rejection carries `outcome`: `not-applied`, or `unknown` when the batch may come back
   * whole at the next open.
   * @throws ConditionFailedError, StoreFullError, StorePoisonedError, FencedError,
   *   BatchTooLargeError, StoreClosedError, AbortedError, StoreError `LODESTORE_READ_ONLY`,
   *   TypeError, RangeError; all as rejections
   */
  insertBatch(
    updates: WriteBatch | Iterable<Update>,
    options: InsertOptions = {},
  ): Promise<Inserted> {
    // Not async, because that would add a promise per batch and three microtask turns until it
    // settles.
    try {
      checkInsertOptions(options);
      const source = toSource(updates);
      const refusal = this.#health.refusal();
      if (refusal !== undefined) throw refusal;
      const { durability = this.#opened.options.durability.batches } = options;
      requireDurability(durability);
      return this.#requireWriter().queue.add(source, options.signal, durability);
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /**
   * Like `insertBatch`, but synchronous, for a store opened with `commits: 'inline'`. A loop of
   * such calls starves timers and merges, so yield to the event loop regularly. This call refreshes
   * the lease and syncs overdue deferred batches.
   *
   * @throws StoreBusyError if `insertBatch` would wait, with one of five reasons (`BusyReason`):
   *   batches are queued or in flight, the store warms, merges do not keep up, space must be freed
   *   on a full disk, or the lease is being checked after a pause. Nothing is applied then.
   *   Otherwise what `insertBatch` rejects with; TypeError if commits are not inline
   */
  insertBatchSync(
    updates: WriteBatch | Iterable<Update>,
    options: Pick<InsertOptions, 'durability'> = {},
  ): Inserted {
    try {
      checkSyncInsertOptions(options);
      const source = toSource(updates);
      const { durability = this.#opened.options.durability.batches } = options;
      requireDurability(durability);
      const { commits, readOnly } = this.#opened.options;
      if (commits !== 'inline' && !readOnly) {
        throw new TypeError("insertBatchSync needs a store that was opened with commits: 'inline'");
      }
      const batch = source instanceof WriteBatch ? source : packUpdatesNow(source);
      const refusal = this.#health.refusal();
      if (refusal !== undefined) throw refusal;
      return this.#requireWriter().committer.commitNow(batch, durability);
    } catch (error) {
      throw withOutcome(error);
    }
  }

  /**
   * Inserts a batch of one put. `options` may hold a condition. Resolves and rejects like
   * `insertBatch`.
   */
  override put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    options: InsertOptions & Condition = {},
  ): Promise<Inserted> {
    return this.#insertOne(options, (batch, condition) => batch.put(key, value, data, condition));
  }

  /** Inserts a batch of one delete, like `put`. */
  override delete(
    key: bigint | number,
    options: InsertOptions & Condition = {},
  ): Promise<Inserted> {
    return this.#insertOne(options, (batch, condition) => batch.delete(key, condition));
  }

  /** Inserts a batch of one `WriteBatch.deleteRange`. Resolves and rejects like `insertBatch`. */
  override deleteRange(range: BoundOptions, options: InsertOptions = {}): Promise<Inserted> {
    try {
      return this.insertBatch(new WriteBatch().deleteRange(range), options);
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  #insertOne(
    options: InsertOptions & Condition,
    add: (batch: WriteBatch, condition: Condition | undefined) => WriteBatch,
  ): Promise<Inserted> {
    try {
      const { condition, rest } = splitInsertOptions(options);
      return this.insertBatch(add(new WriteBatch(), condition), rest);
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /**
   * Resolves when every batch inserted before this call, unless rejected, is durable.
   * @throws StorePoisonedError: batches that were acknowledged as deferred may be lost;
   *   StoreFullError, StoreClosedError, StoreError; as rejections
   */
  async sync(): Promise<void> {
    const refusal = this.#health.refusal();
    if (refusal !== undefined) throw refusal;
    await this.#requireWriter().queue.add(new WriteBatch(), undefined, 'sync');
  }

  /**
   * Merges all durable batches into a new snapshot. Resolves when the snapshot is durable.
   * @throws StoreFullError, CorruptionError, StorePoisonedError, StoreClosedError, StoreError; as
   *   rejections
   */
  async merge(): Promise<void> {
    const refusal = this.#health.refusal();
    if (refusal !== undefined) throw refusal;
    const { merges } = this.#requireWriter();
    await this.#backgroundLoad.mergeNow(merges);
  }

  /**
   * Writes all durable batches to `target`, which must not exist or be an empty directory. Writes
   * and merges continue meanwhile. Files that never change are hard-linked where possible. `target`
   * gets its name last. After a merge has found damage, only a backup with `verify` can succeed.
   * @throws StoreError (`LODESTORE_BAD_TARGET`, `LODESTORE_NOT_A_BACKUP`, `LODESTORE_INCOMPLETE`,
   *   `LODESTORE_IO`, `LODESTORE_READ_ONLY`), StoreFullError, CorruptionError, StoreLockedError
   *   while another backup writes the same target, AbortedError, StoreClosedError,
   *   StorePoisonedError, TypeError; as rejections
   */
  async backup(target: string | URL, options: BackupOptions = {}): Promise<BackupReport> {
    const refusal = this.#health.refusal();
    if (refusal !== undefined) throw refusal;
    const { backups, observer } = this.#requireWriter();
    return observer.backup(String(target), () => backups.run(target, options));
  }

  /**
   * Iterates over every committed batch after a position, in order: first from the logs, then as
   * batches are committed. Yields only durable batches, read from the files. Ends at once when the
   * store is closed, and after the last batch of a read-only store. Continue with a new feed after
   * the last batch that you have processed.
   * @throws TypeError, RangeError, StoreClosedError; while iterating PositionExpiredError,
   *   AbortedError, StorePoisonedError, CorruptionError, StoreError
   */
  changes(options: ChangesOptions = {}): AsyncIterableIterator<Change> & AsyncDisposable {
    return this.#feeds.open(options);
  }

  /**
   * Resolves when all records are in memory. Rejects if some cannot be read, or with
   * StoreClosedError.
   */
  async warmed(): Promise<void> {
    await this.#backgroundLoad.warmed;
  }

  /** A copy of the current figures. It has a JSON form: bigints are strings of decimal digits. */
  override stats(): StoreStats {
    return readStats({
      warming: { chunksLeft: this.#backgroundLoad.chunksLeft },
      directory: this.#opened.directory.realPath,
      readOnly: this.#opened.options.readOnly,
      lastSequence: this.#visibleSequence,
      table: this.#table,
      health: this.#health,
      lock: this.#opened.lock,
      recovery: this.recovery,
      changes: this.#feeds.stats,
      snapshots: figuresOf(this.snapshots, this.#table.view()),
      writer: this.#writer,
      follower: this.#follower,
    });
  }

  /**
   * Waits until every batch is settled, syncs and seals the log, aborts a running merge, and
   * releases the directory, which can then be opened at once. Idempotent. Rejects if the directory
   * could not be released; no acknowledged batch is lost. Rejects with StorePoisonedError if
   * deferred batches could not be synced and may be lost; the directory is still released.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#health.beginClosing();
    await inOrder([
      () => this.#feeds.close(),
      async () => this.#follower?.close(),
      async () => this.#writer && closeWriter(this.#writer),
      async () => {
        this.#leave();
        this.#health.endClosing();
        this.snapshots.releaseAll();
        await releaseDirectory(this.#opened.directory, this.#opened.lock, this.#backgroundLoad);
      },
    ])
      .catch((error: unknown) => {
        const what = 'the store is closed, but not all of its files could be';
        throw storeErrorOf(error, { what, path: this.#opened.directory.realPath });
      })
      .finally(() => this.#announce('closed', []));
  }

  /** Emits later, so that a listener that throws cannot prevent an acknowledgement. */
  #announce<Name extends keyof StoreEvents>(
    name: Name,
    details: StoreEvents[Name],
    unheard?: () => void,
  ): void {
    queueMicrotask(() => {
      const isHeard = EventEmitter.prototype.emit.call(this, name, ...details);
      if (!isHeard) unheard?.();
    });
  }

  /**
   * Sequence number of the last visible batch. A batch that is being written is not visible yet.
   */
  get #visibleSequence(): bigint {
    if (this.#follower !== undefined) return this.#follower.lastSequence;
    return this.recovery.lastSequence + BigInt(this.#writer?.observer.commits.batches ?? 0);
  }

  get #table(): Table {
    return this.#follower?.table ?? this.#opened.recovered.table;
  }

  #readable(): Table {
    this.#requireOpen();
    return this.#table;
  }

  #requireOpen(): void {
    if (this.#health.state === 'closed') throw new StoreClosedError();
  }

  #requireWriter(): Writer {
    if (this.#writer !== undefined) return this.#writer;
    throw new StoreError('LODESTORE_READ_ONLY', 'the store was opened read-only', {
      outcome: 'not-applied',
    });
  }
}
