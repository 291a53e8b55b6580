import { present } from '../../base/assert.ts';
import { PositionExpiredError, StoreClosedError, StoreError } from '../../base/errors.ts';
import type { SharedGroup } from '../../store/commit/commit-gate.ts';
import { LogLostError, RepairedError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import { backoffMs } from './appender.ts';
import { LogWatch } from './log-watch.ts';
import type { CommitHost, OpenReplica } from './open-replica.ts';
import { isPassing, notRebuilt } from './passing-failures.ts';
import { withinTime } from './replica-clock.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';
import type { PromotionLimits, ReplicaHost, ReplicaRole, ReplicaTimes } from './replica-host.ts';
import { PrimaryCommits, type CommittingNode } from './primary-commits.ts';
import { Signal } from './signal.ts';
import { Turns } from './turns.ts';

export interface ReplicaNodeParts {
  readonly environment: ReplicaEnvironment;
  readonly log: SharedLog;
  /** The address that the node announces as the primary. */
  readonly address: string;
  readonly times: ReplicaTimes;
  readonly host: ReplicaHost;
}

/**
 * One node of a replicated store. The shared log decides; this node applies it.
 *
 * Replica: entries are read in order and applied. Primary: a group is appended at the position
 * after the last applied entry, so the append succeeds only if no other entry came between. Then
 * the group is written here. One operation at a time uses the chain (`exclusive`): applying an
 * entry, appending a group or a barrier, a takeover.
 *
 * A takeover is also an append. It succeeds only at the end of the log, after everything that this
 * node has applied. From then on, the old primary's next append finds its position occupied. The
 * old primary is fenced, rejects its group as `not-applied`, and continues as a replica. No clock
 * is involved. A primary learns this in `PrimaryCommits` (an append or a barrier finds another
 * entry), from the engine's bounds (`LogWatch`), or fails (`fail`).
 *
 * While the engine does not answer, an append is repeated with the same bytes at the same position.
 * After `commitTimeoutMs` without an answer, the batches in flight are rejected as `unknown`, and
 * those in the queue as `not-applied`; the append continues.
 *
 * A crash loses what the local log had not synced. The node reads it again from the shared log.
 */
export class ReplicaNode implements CommitHost, CommittingNode {
  readonly #parts: ReplicaNodeParts;
  readonly #commits: PrimaryCommits;
  readonly #watch: LogWatch;
  readonly #closing: AbortController = new AbortController();
  #replica: OpenReplica | undefined;
  #role: ReplicaRole = 'replica';
  #promotions = 0;
  #primaryAddress: string | undefined;
  readonly #turns: Turns = new Turns();
  #reading: AbortController | undefined;
  #roleChange: Signal = new Signal();
  #progress: Signal = new Signal();
  #failure: Error | undefined;
  /** Why the store must be rebuilt before it reads on or takes over. */
  #behind: StoreError | undefined;
  #following: Promise<void> | undefined;

  constructor(parts: ReplicaNodeParts) {
    this.#parts = parts;
    const { environment, log, times, host } = parts;
    const onUnavailable = (error: unknown): void => host.onUnavailable(error);
    const own = { log, ...times, onUnavailable };
    this.#commits = new PrimaryCommits({ ...own, environment }, this);
    this.#watch = new LogWatch({ ...own, clock: environment.clock }, this);
  }

  get replica(): OpenReplica {
    return present(this.#replica, 'the node has been started');
  }

  get role(): ReplicaRole {
    return this.#role;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  get position(): bigint {
    return this.replica.place.position;
  }

  get logEnd(): bigint {
    const { end } = this.#watch;
    return end > this.position ? end : this.position;
  }

  get primaryAddress(): string | undefined {
    return this.#role === 'primary' ? this.#parts.address : this.#primaryAddress;
  }

  /** Starts with an open store. Resolves when all of it has been found in the log. */
  async start(replica: OpenReplica): Promise<void> {
    this.#replica = replica;
    this.#following = this.#follow();
    void this.#watch.run();
    const isFound = (): boolean => this.replica.isAnchored && this.replica.isVerified;
    while (!isFound()) await this.#nextProgress(undefined);
  }

  /** Runs `work` while nothing else uses the chain. `signal` ends the wait for that. */
  exclusive<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turns.run(work, signal);
  }

  /** Reads the log while this node is not the primary. */
  async #follow(): Promise<void> {
    for (let attempt = 0; !this.isOver; attempt++) {
      if (this.#role === 'primary') {
        await this.#roleChange.wait();
        attempt = 0;
        continue;
      }
      const before = this.position;
      try {
        await this.#readOn();
      } catch (error) {
        if (this.position > before) attempt = 0;
        await this.#overcome(error, attempt).catch((fatal: unknown) => this.fail(fatal as Error));
      }
    }
  }

  /** True if the node is closed or has failed. */
  get isOver(): boolean {
    return this.#failure !== undefined || this.signal.aborted;
  }

  async #readOn(): Promise<void> {
    if (this.#behind !== undefined) throw this.#behind;
    const reading = new AbortController();
    this.#reading = reading;
    const { signal } = reading;
    const { replica } = this;
    const from = replica.chain.place.position + (replica.isAnchored ? 1n : 0n);
    try {
      for await (const { position, entry } of this.#parts.log.read(from, { signal })) {
        await this.exclusive(() => this.#take(position, entry));
        if (this.#role === 'primary' || this.isOver || this.#mustRebuild) return;
      }
    } catch (error) {
      if (!(error instanceof PositionExpiredError) || this.replica.isAnchored) throw error;
      // The entry itself may have been trimmed, and the next one not.
      this.replica.anchor(undefined);
    }
  }

  async #take(position: bigint, bytes: Uint8Array): Promise<void> {
    if (this.#role === 'primary' || this.isOver) return;
    await this.#whenWritten(undefined);
    const { chain } = this.replica;
    if (position === chain.place.position && !this.replica.isAnchored) {
      this.replica.anchor(bytes);
      return this.#advance();
    }
    if (position <= chain.place.position) return;
    const step = await this.replica.take(position, bytes, this.signal);
    if (step.kind === 'takeover') this.#primaryAddress = step.address;
    // Known in the same turn of the chain, so that no takeover comes between.
    if (step.kind === 'repaired') this.#behind = new RepairedError(position, chain.place.epoch);
    this.#advance();
  }

  /** After a failed read: retries if the engine is away, rebuilds after a trim, else fails. */
  async #overcome(error: unknown, attempt: number): Promise<void> {
    if (this.isOver || this.#reading?.signal.aborted === true) return;
    if (error instanceof PositionExpiredError || error instanceof RepairedError) {
      this.#behind = error;
      this.#advance();
      await this.exclusive(() => this.#rebuild(error)).catch((failure: unknown) => {
        if (!isPassing(failure)) throw failure;
        return this.#rest(failure, attempt);
      });
    } else if (isPassing(error)) await this.#rest(error, attempt);
    else throw error;
  }

  async #rest(error: unknown, attempt: number): Promise<void> {
    this.#parts.host.onUnavailable(error);
    const { clock } = this.#parts.environment;
    await clock.sleep(backoffMs(attempt), this.signal).catch(() => undefined);
  }

  async #rebuild(cause: StoreError): Promise<void> {
    const old = this.replica;
    this.#replica = await this.#parts.host.rebuild(this, cause, this.signal);
    this.#behind = undefined;
    await old.close().catch(() => undefined);
    await this.#parts.host.onRebuilt(this.replica, cause);
    this.#advance();
  }

  #advance(): void {
    const progress = this.#progress;
    this.#progress = new Signal();
    progress.resolve();
  }

  reached(): void {
    this.#advance();
  }

  /**
   * Resolves when an entry has been taken. Rejects when none will come, or with the signal's
   * reason.
   */
  async #nextProgress(signal: AbortSignal | undefined): Promise<void> {
    this.#requireRunning();
    await this.#progress.wait(signal);
    this.#requireRunning();
  }

  #requireRunning(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.signal.aborted) throw new StoreClosedError();
  }

  /** Stops the node for good. Only the first call has an effect. */
  fail(error: Error): void {
    if (this.isOver) return;
    this.#failure = error;
    this.#setRole('replica');
    this.#advance();
    this.#parts.host.onFailed(error);
  }

  #setRole(role: ReplicaRole): void {
    if (this.#role === role) return;
    this.#role = role;
    if (role === 'primary') {
      this.#reading?.abort();
      this.#primaryAddress = undefined;
    }
    const change = this.#roleChange;
    this.#roleChange = new Signal();
    change.resolve();
    this.#parts.host.onRole(role);
  }

  /** Resolves when this node is no longer the primary, or is closed. */
  async whenDeposed(): Promise<void> {
    while (this.#role === 'primary' && !this.isOver) await this.#roleChange.wait();
  }

  /** Waits after a failed election. */
  async pauseElections(delayMs: number, error: unknown): Promise<void> {
    this.#parts.host.onUnavailable(error);
    const { clock } = this.#parts.environment;
    await clock.sleep(delayMs, this.signal).catch(() => undefined);
  }

  /** Resolves when this node could take over: it applies entries, and need not be rebuilt. */
  async whenAble(): Promise<void> {
    while (this.#mustRebuild) await this.#nextProgress(undefined);
    await this.exclusive(() => this.#whenWritten(undefined), this.signal);
  }

  /**
   * Resolves when this node is the primary, or is not wanted any more. `signal` ends it at any
   * step; the takeover may be in the log then.
   */
  async promote(signal?: AbortSignal, limits: PromotionLimits = {}): Promise<void> {
    const { waits = signal } = limits;
    this.#requireRunning();
    if (this.#role === 'primary') return;
    this.#promotions++;
    this.#setRole('candidate');
    try {
      for (;;) {
        signal?.throwIfAborted();
        this.#requireAble(limits);
        const missing = await this.exclusive(() => this.#takeOver(signal, limits), waits);
        if (missing === undefined) return;
        while (this.#lacks(missing)) {
          this.#requireAble(limits);
          await this.#nextProgress(waits);
        }
        await limits.beforeRetry?.();
      }
    } catch (error) {
      if (error instanceof LogLostError) this.fail(error);
      else signal?.throwIfAborted();
      throw error;
    } finally {
      if (--this.#promotions === 0 && this.#role === 'candidate') this.#setRole('replica');
    }
  }

  #requireAble({ ifUnable }: PromotionLimits): void {
    if (ifUnable !== 'refuse') return;
    if (this.#mustRebuild) throw notRebuilt();
    const { blockedBy } = this.replica;
    if (blockedBy !== undefined) throw blockedBy;
  }

  get #mustRebuild(): boolean {
    return this.#behind !== undefined;
  }

  #lacks(position: bigint): boolean {
    return this.#mustRebuild || this.replica.chain.place.position < position;
  }

  /**
   * Resolves to undefined when this node is the primary or is not wanted, else to the position of
   * an entry whose effect it does not have.
   */
  async #takeOver(
    signal: AbortSignal | undefined,
    { waits = signal, isWanted }: PromotionLimits,
  ): Promise<bigint | undefined> {
    this.#requireRunning();
    if (this.#role === 'primary') return undefined;
    // The chain has passed a repair, and the store lacks the batches that it restores.
    if (this.#mustRebuild) return this.replica.chain.place.position;
    await this.#whenWritten(waits);
    await this.#commits.anchor(signal);
    if (isWanted?.() === false) return undefined;
    const position = this.replica.chain.place.position + 1n;
    const piece = new TextEncoder().encode(this.#parts.address);
    const epoch = this.replica.chain.place.epoch + 1n;
    const result = await this.#commits.appendOwn({ kind: 'takeover', epoch, piece }, signal);
    if (result !== 'ours') return position;
    this.#setRole('primary');
    return undefined;
  }

  get isPrimary(): boolean {
    return this.#role === 'primary';
  }

  refusal(): StoreError | undefined {
    return this.#commits.refusal();
  }

  confirm(): Promise<StoreError | undefined> {
    return this.#commits.confirm();
  }

  append(group: SharedGroup): Promise<StoreError | undefined> {
    return this.#commits.append(group);
  }

  depose(): void {
    this.#setRole('replica');
  }

  /** Resolves to a visible position at which this node was the primary after the call. */
  async barrier(signal?: AbortSignal): Promise<bigint> {
    this.#requireRunning();
    const { environment, times } = this.#parts;
    return withinTime(environment.clock, times.commitTimeoutMs, signal, async (ended) => {
      const result = await this.#commits.barrier().wait(ended);
      this.#requireRunning();
      if (result instanceof StoreError) throw result;
      // A group before the barrier may still be being written here.
      await this.whenReached(result, ended);
      return result;
    });
  }

  /** Resolves when all entries up to `position` are visible here. */
  async whenReached(position: bigint, signal: AbortSignal | undefined): Promise<void> {
    while (this.position < position) await this.#nextProgress(signal);
  }

  /**
   * Resolves when the group that this node has appended is visible. The node may have been deposed
   * while it was being written.
   */
  async #whenWritten(signal: AbortSignal | undefined): Promise<void> {
    while (this.replica.isWriting) await this.#nextProgress(signal);
  }

  /** Ends all waits: they reject with StoreClosedError. */
  abort(): void {
    this.#closing.abort(new StoreClosedError());
    this.#reading?.abort();
    this.#roleChange.resolve();
    this.#advance();
  }

  async close(): Promise<void> {
    this.abort();
    await this.#following;
    await this.exclusive(async () => undefined);
    await this.#replica?.close();
  }
}
