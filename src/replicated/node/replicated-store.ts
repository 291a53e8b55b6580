import { EventEmitter } from 'node:events';
import { onAbort } from '../../base/abort.ts';
import { requireOpening } from '../../base/fields.ts';
import { nextTurn, queueMicrotask } from '../../base/timers.ts';
import { pathOf } from '../../base/path.ts';
import { absolutePathOf } from '../../fs/absolute-path.ts';
import { AbortedError, StoreClosedError } from '../../base/errors.ts';
import type { BackupOptions, BackupReport } from '../../store/backup/backup.ts';
import type { BoundOptions } from '../../table/layer/key-range.ts';
import { withOutcome } from '../../store/batch/batch-queue.ts';
import type { Condition } from '../../store/batch/condition.ts';
import {
  checkInsertOptions,
  splitInsertOptions,
  type Inserted,
  type InsertOptions,
} from '../../store/batch/insert-options.ts';
import type { Update } from '../../store/batch/updates.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import type { Change } from '../../store/changes/change.ts';
import type { ChangesOptions } from '../../store/changes/feed-set.ts';
import { LastingFeed } from '../../store/changes/lasting-feed.ts';
import type { MetadataStore } from '../../store/metadata-store.ts';
import type { StoreEvents } from '../../store/observe/store-events.ts';
import { ReadableStore } from '../../store/readable-store.ts';
import { inOrder } from '../../store/writer.ts';
import { dirname } from 'node:path';
import type { WrittenCheckpoint } from '../checkpoint/checkpoints.ts';
import { LogUnavailableError } from '../log/log-errors.ts';
import type { ReplicaLag, ReplicatedStats } from './replicated-stats.ts';
import { checkpointsIn, ReplicaFiles } from './replica-files.ts';
import { takePartInElections } from './elections.ts';
import { CheckpointKeeper } from './checkpoint-keeper.ts';
import { keepCheckpoints } from './checkpoint-schedule.ts';
import { repairReplicaIn, type RepairReport } from './repair-log.ts';
import type { PromotionLimits, ReplicaHost, ReplicaRole } from './replica-host.ts';
import { ReplicaNode } from './replica-node.ts';
import { PASSED_ON } from './passed-on.ts';
import type { OpenReplica } from './open-replica.ts';
import { MACHINE_ENVIRONMENT, type ReplicaEnvironment } from './replica-environment.ts';
import {
  resolveOrClose,
  type ReplicatedOptions,
  type ResolvedReplicatedOptions,
} from './replicated-options.ts';

/** Internal: `ReplicatedStore.promote` within limits. */
export let promoteWithin: (
  store: ReplicatedStore,
  signal: AbortSignal,
  limits: PromotionLimits,
) => Promise<void>;

/** Internal: `ReplicatedStore.open` in another environment. */
export let openReplicatedIn: (
  environment: ReplicaEnvironment,
  directory: string | URL,
  options: ReplicatedOptions,
) => Promise<ReplicatedStore>;

/**
 * A store whose batches are in a shared log before they are acknowledged, so they survive the loss
 * of this machine. One node is the primary and accepts writes. The others apply the same batches,
 * in the same order and with the same sequence numbers, and serve reads of a prefix.
 */
export class ReplicatedStore extends ReadableStore implements AsyncDisposable {
  readonly #options: ResolvedReplicatedOptions;
  readonly #environment: ReplicaEnvironment;
  readonly #files: ReplicaFiles;
  readonly #node: ReplicaNode;
  readonly #keeper: CheckpointKeeper;
  #engineFailures = 0;
  #closing: Promise<void> | undefined;

  static {
    promoteWithin = (store, signal, limits) => store.#node.promote(signal, limits);
    openReplicatedIn = async (environment, directory, options) => {
      const path = absolutePathOf(pathOf(directory, 'directory'), 'directory');
      const own = resolveOrClose(options);
      if ('then' in own) return own;
      const store = new ReplicatedStore(environment, path, own);
      try {
        await store.#start();
        return store;
      } catch (error) {
        await store.close().catch(() => undefined);
        if (options.signal?.aborted !== true) throw error;
        throw new AbortedError('opening was aborted', { cause: options.signal.reason });
      }
    };
  }

  private constructor(
    environment: ReplicaEnvironment,
    directory: string,
    options: ResolvedReplicatedOptions,
  ) {
    requireOpening(environment, 'ReplicatedStore');
    super({
      records: () => this.#node.replica.access.table(),
      lastSequence: () => this.#node.replica.place.sequence,
      hooks: { pause: nextTurn, requireOpen: () => this.#requireOpen() },
    });
    this.#options = options;
    this.#environment = environment;
    const { checkpoints, store: storeOptions, log, address } = options;
    const own = { environment, directory, storeOptions, log };
    const kept = checkpoints && checkpointsIn(environment, checkpoints);
    this.#files = new ReplicaFiles({ ...own, checkpoints: kept });
    const host: ReplicaHost = {
      rebuild: (replicaHost, cause, signal) => this.#files.rebuild(replicaHost, cause, signal),
      onRebuilt: async (replica, cause) => {
        this.#listenTo(replica);
        await this.#files.removeOthers(replica).catch(() => undefined);
        this.#announce('rebuilt', [cause]);
      },
      onRole: (role) => this.#announce('roleChanged', [role]),
      onUnavailable: (error) => {
        this.#noteEngine(error);
        this.#keeper.noteFailure(error);
      },
      onFailed: (error) => this.#announce('replicaFailed', [error]),
    };
    this.#node = new ReplicaNode({ environment, log, address, times: options, host });
    this.#keeper = new CheckpointKeeper(this.#files, this.#node);
  }

  /**
   * Opens a node of a replicated store in `directory`. Resolves when everything in the directory
   * has been found in the shared log; waits while the engine cannot be reached. An empty directory
   * is filled from the newest checkpoint. The node is a replica until it is elected or promoted.
   * @throws LogLostError if the log lacks something that the directory has; PositionExpiredError if
   *   the log has been trimmed and there is no checkpoint; CorruptionError if this directory is
   *   damaged, too; AbortedError; CheckpointStoreError; the other errors of `MetadataStore.open`
   */
  static open(directory: string | URL, options: ReplicatedOptions): Promise<ReplicatedStore> {
    return openReplicatedIn(MACHINE_ENVIRONMENT, directory, options);
  }

  /**
   * Continues a log that lost its end from the store in `directory`, which must have everything in
   * the log, and more. Use the node with the highest `lastSequence`. No other node may run as the
   * primary. The lost batches are restored by a checkpoint, which other nodes load. Checkpoints of
   * lost entries are removed.
   * @throws LogLostError if the store lacks a part of the log or of a checkpoint, or another node
   *   has continued the log; TypeError without `checkpoints`
   */
  static async repair(directory: string | URL, options: ReplicatedOptions): Promise<RepairReport> {
    return repairReplicaIn(MACHINE_ENVIRONMENT, directory, options);
  }

  async #start(): Promise<void> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const stopListening = signal && onAbort(signal, () => this.#node.abort());
    try {
      const replica = await this.#files.open(this.#node, this.#node.signal);
      this.#listenTo(replica);
      await this.#node.start(replica);
      await this.#files.removeOthers(this.#node.replica);
    } finally {
      stopListening?.();
    }
    const { clock } = this.#environment;
    void takePartInElections({ ...this.#options, clock }, this.#node);
    void keepCheckpoints(this.#options, this.#environment, {
      store: this,
      keeper: this.#keeper,
      signal: this.#node.signal,
      onFailed: (error) => this.#noteEngine(error),
    });
  }

  #noteEngine(error: unknown): void {
    if (error instanceof LogUnavailableError) this.#engineFailures++;
  }

  #listenTo({ store }: OpenReplica): void {
    for (const name of PASSED_ON) {
      store.on(name, (...details: unknown[]) => {
        this.#announce(name, details as StoreEvents[typeof name]);
      });
    }
    store.on('poisoned', (error) => this.#node.fail(error));
  }

  /** The role of this node. A primary may have been deposed without having noticed. */
  get role(): ReplicaRole {
    return this.#node.role;
  }

  /** Position in the shared log of the last entry whose effect is visible here. */
  get position(): bigint {
    return this.#node.position;
  }

  /** How far this node is known to be behind the log. */
  get lag(): ReplicaLag {
    return { entries: this.#node.logEnd - this.#node.position };
  }

  /** The address that the primary announced; undefined if unknown. */
  get primaryAddress(): string | undefined {
    return this.#node.primaryAddress;
  }

  /**
   * Makes this node the primary: applies all of the log, then appends a takeover, which fences the
   * previous primary. Resolves at once if this node is the primary.
   * @throws LogLostError, StoreClosedError, the signal's reason; as rejections
   */
  promote(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return this.#node.promote(options.signal);
  }

  /**
   * Resolves to a position of the log at which this node was the primary after this call. Later
   * reads see every batch that any node acknowledged before the call. Calls that wait may share a
   * position.
   * @throws LogUnavailableError after `commitTimeoutMs`; NotPrimaryError, LogLostError,
   *   StoreClosedError, AbortedError; as rejections
   */
  barrier(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<bigint> {
    return this.#node.barrier(options.signal);
  }

  /**
   * Resolves when everything up to a position is visible here. With the primary's `position` after
   * a write, a replica then shows that write.
   * @throws AbortedError, LogLostError, StoreClosedError; as rejections
   */
  async reached(
    position: bigint,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if (typeof position !== 'bigint') throw new TypeError('position must be a bigint');
    await this.#node.whenReached(position, options.signal);
  }

  /**
   * Writes a verified backup of this node to the checkpoint store. Removes older checkpoints and
   * objects that only they used. On the primary, trims the log up to the second-newest checkpoint.
   * @throws CheckpointStoreError, TypeError without a checkpoint store, NotPrimaryError if the log
   *   is empty, the errors of `backup`; as rejections
   */
  checkpoint(): Promise<WrittenCheckpoint> {
    return this.#keeper.write();
  }

  /**
   * Trims the log up to the second-newest checkpoint, if this node is the primary. Resolves to the
   * position up to which it was trimmed; undefined if there is nothing to trim.
   * @throws CheckpointStoreError, LogUnavailableError, LogLostError; as rejections
   */
  trim(): Promise<bigint | undefined> {
    return this.#keeper.trim();
  }

  /**
   * Applies a batch on the primary. Resolves when the batch is in the shared log, that is on stable
   * storage at a quorum of the engine, and visible here. Otherwise as `MetadataStore.insertBatch`;
   * `durability` has no effect.
   *
   * Every rejection has an `outcome`. `unknown`: the engine did not answer in time; the batch may
   * be applied, now or later.
   * @throws NotPrimaryError, LogUnavailableError, and the errors of `MetadataStore.insertBatch`;
   *   all as rejections
   */
  insertBatch(
    updates: WriteBatch | Iterable<Update>,
    options: InsertOptions = {},
  ): Promise<Inserted> {
    try {
      checkInsertOptions(options);
      const refusal = this.#node.refusal();
      if (refusal !== undefined) throw refusal;
      const { signal } = options;
      return this.#store.insertBatch(updates, { signal, durability: 'deferred' });
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /** Inserts a batch of one put, as `insertBatch`. */
  put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    options: InsertOptions & Condition = {},
  ): Promise<Inserted> {
    return this.#insertOne(options, (batch, condition) => batch.put(key, value, data, condition));
  }

  /** Inserts a batch of one delete, as `insertBatch`. */
  delete(key: bigint | number, options: InsertOptions & Condition = {}): Promise<Inserted> {
    return this.#insertOne(options, (batch, condition) => batch.delete(key, condition));
  }

  /** Inserts a batch of one `WriteBatch.deleteRange`, as `insertBatch`. */
  deleteRange(range: BoundOptions, options: InsertOptions = {}): Promise<Inserted> {
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

  get #store(): MetadataStore {
    this.#requireOpen();
    return this.#node.replica.store;
  }

  /** Syncs the local log. Acknowledged batches are durable without it. */
  async sync(): Promise<void> {
    await this.#store.sync();
  }

  /** As `MetadataStore.merge`, on this node. */
  async merge(): Promise<void> {
    await this.#store.merge();
  }

  /** As `MetadataStore.backup`, of this node. */
  async backup(target: string | URL, options: BackupOptions = {}): Promise<BackupReport> {
    return this.#store.backup(target, options);
  }

  /** As `MetadataStore.changes`, also after a rebuild. All nodes have the same sequence numbers. */
  changes(options: ChangesOptions = {}): AsyncIterableIterator<Change> & AsyncDisposable {
    this.#requireOpen();
    return new LastingFeed(options, () => (this.#closing === undefined ? this.#store : undefined));
  }

  /** As `MetadataStore.warmed`. */
  async warmed(): Promise<void> {
    await this.#store.warmed();
  }

  /** Current figures of the local store and of the replica. */
  stats(): ReplicatedStats {
    const { role, position, lag, primaryAddress } = this;
    const { replica, failure, logEnd } = this.#node;
    const { epoch } = replica.place;
    const engineFailures = this.#engineFailures;
    const place = { role, position, epoch, logEnd, lag, primaryAddress };
    const own = { ...place, engineFailures, checkpoints: this.#keeper.figures, failure };
    const local = replica.store.stats();
    // The store is in a generation of the directory.
    const directory = dirname(dirname(local.directory));
    return { ...local, directory, replica: own };
  }

  /**
   * Closes the store, the log and the checkpoint store. Batches whose append has no result yet are
   * rejected as `unknown`. Idempotent.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { log, checkpoints } = this.#options;
    const closing = inOrder([
      () => this.#node.close(),
      () => this.#keeper.settled(),
      () => this.#files.close(),
      () => log.close(),
      async () => checkpoints?.close(),
    ]);
    await closing.finally(() => this.#announce('closed', []));
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new StoreClosedError();
  }

  #announce<Name extends keyof StoreEvents>(name: Name, details: StoreEvents[Name]): void {
    queueMicrotask(() => {
      EventEmitter.prototype.emit.call(this, name, ...details);
    });
  }
}
