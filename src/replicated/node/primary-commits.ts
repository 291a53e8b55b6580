import { assert } from '../../base/assert.ts';
import { StoreError } from '../../base/errors.ts';
import { CODEC_RAW } from '../../format/compression.ts';
import { logVersionFor } from '../../format/file-header.ts';
import type { SharedGroup } from '../../store/commit/commit-gate.ts';
import {
  encodeEntry,
  ENTRY_HEADER_BYTES,
  LOG_ID_BYTES,
  NONCE_BYTES,
  type EntryFields,
} from '../log/entry.ts';
import { LogUnavailableError, NotPrimaryError } from '../log/log-errors.ts';
import type { SharedLog } from '../log/shared-log.ts';
import { Appender, type AppendResult } from './appender.ts';
import type { OpenReplica } from './open-replica.ts';
import type { ReplicaEnvironment } from './replica-environment.ts';
import { Signal } from './signal.ts';

type OwnEntry = Pick<EntryFields, 'kind'> & Partial<EntryFields>;

export interface PrimaryCommitsParts {
  readonly environment: ReplicaEnvironment;
  readonly log: SharedLog;
  readonly commitTimeoutMs: number;
  readonly lostAfterMs: number;
  readonly onUnavailable: (error: unknown) => void;
}

/** The node that commits. */
export interface CommittingNode {
  readonly isPrimary: boolean;
  readonly isOver: boolean;
  readonly failure: Error | undefined;
  readonly primaryAddress: string | undefined;
  readonly replica: OpenReplica;
  readonly signal: AbortSignal;
  /** Runs `work` while nothing else uses the chain. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  /** Called when another node has taken over. */
  depose(): void;
  fail(error: Error): void;
}

/**
 * The entries that a node appends: groups, barriers and takeovers, each directly after the last
 * entry that the node has applied.
 */
export class PrimaryCommits {
  readonly #parts: PrimaryCommitsParts;
  readonly #node: CommittingNode;
  readonly #appender: Appender;
  /** Called at each answer of the engine: they restart the timers of the waiting batches. */
  readonly #restarts: Set<() => void> = new Set();
  /** The barrier that waits for its turn. Calls that come before its append share it. */
  #nextBarrier: Signal<bigint | StoreError> | undefined;

  constructor(parts: PrimaryCommitsParts, node: CommittingNode) {
    this.#parts = parts;
    this.#node = node;
    this.#appender = new Appender({ ...parts, clock: parts.environment.clock });
  }

  #ended(signal: AbortSignal | undefined): AbortSignal {
    const closing = this.#node.signal;
    return signal === undefined ? closing : AbortSignal.any([signal, closing]);
  }

  /** Appends an entry at the position after the last one. One call at a time. */
  async appendOwn(own: OwnEntry, signal?: AbortSignal): Promise<AppendResult> {
    const { place } = this.#node.replica.chain;
    const firstSequence = place.sequence + 1n;
    const isNext = own.firstSequence === undefined || own.firstSequence === firstSequence;
    assert(isNext, 'the store has every batch of the log before it appends');
    const piece = own.piece ?? new Uint8Array(0);
    const nonce = own.nonce ?? this.#parts.environment.randomBytes(NONCE_BYTES);
    const bytes = encodeEntry({
      logId: place.logId ?? this.#parts.environment.randomBytes(LOG_ID_BYTES),
      epoch: place.epoch,
      firstSequence,
      previous: place.checksum,
      rowsVersion: 0,
      codec: CODEC_RAW,
      batchCount: 0,
      recordCount: 0,
      decodedBytes: piece.length,
      payloadBytes: piece.length,
      pieceOffset: 0,
      ...own,
      piece,
      nonce,
    });
    const position = place.position + 1n;
    const result = await this.#appender.append(position, bytes, nonce, this.#ended(signal));
    for (const restart of this.#restarts) restart();
    if (result === 'ours') this.#node.replica.takeOwn(position, bytes);
    return result;
  }

  /**
   * Compares the last entry that this node has applied with the log's.
   * @throws LogLostError
   */
  async anchor(signal: AbortSignal | undefined): Promise<void> {
    const { replica } = this.#node;
    const { position } = replica.chain.place;
    if (position === 0n) return;
    const found = await this.#appender.appliedEntry(position, this.#ended(signal));
    replica.anchor(found === 'trimmed' ? undefined : found);
  }

  refusal(): StoreError | undefined {
    return this.#node.isPrimary ? undefined : this.#refused();
  }

  #refused(): StoreError {
    const { failure } = this.#node;
    if (!(failure instanceof StoreError)) return this.#notPrimary();
    const { code, message } = failure;
    return new StoreError(code, message, { cause: failure, outcome: 'not-applied' });
  }

  #notPrimary(): NotPrimaryError {
    const address = this.#node.primaryAddress;
    const where = address === undefined ? 'the primary is not known' : `the primary is ${address}`;
    const message = `this node is not the primary; ${where}`;
    return new NotPrimaryError(message, address, { outcome: 'not-applied' });
  }

  /**
   * The result of a barrier that is appended after this call: its position, or why there is none.
   * However many calls wait while the engine does not answer, one barrier waits for its turn.
   */
  barrier(): Signal<bigint | StoreError> {
    if (this.#nextBarrier !== undefined && this.#node.isPrimary) return this.#nextBarrier;
    const barrier = new Signal<bigint | StoreError>();
    const begin = (): void => {
      if (this.#nextBarrier === barrier) this.#nextBarrier = undefined;
    };
    this.#nextBarrier = barrier;
    const appended = this.#inTurn(() => {
      begin();
      return this.#appendBarrier();
    });
    void appended.then((result) => {
      begin();
      barrier.resolve(result);
    });
    return barrier;
  }

  async #appendBarrier(): Promise<bigint | StoreError> {
    const result = await this.appendOwn({ kind: 'barrier' });
    return result === 'ours' ? this.#node.replica.chain.place.position : this.#depose(result);
  }

  /** Proves that this node is the primary, for a commit that writes nothing. */
  async confirm(): Promise<StoreError | undefined> {
    const result = await this.#givingUp(() => this.barrier().wait());
    if (!(result instanceof StoreError)) return undefined;
    return result.outcome === 'unknown' ? this.#asNotApplied(result) : result;
  }

  #asNotApplied(cause: StoreError): StoreError {
    return new StoreError(cause.code, cause.message, { cause, outcome: 'not-applied' });
  }

  append(group: SharedGroup): Promise<StoreError | undefined> {
    return this.#givingUp(() => this.#inTurn(() => this.#appendGroup(group)));
  }

  /** Runs an append of the primary in its turn of the chain. Never rejects. */
  async #inTurn<T>(work: () => Promise<T | StoreError>): Promise<T | StoreError> {
    // A replica that is applying an entry waits for the commit loop, which waits for this call.
    if (!this.#node.isPrimary) return this.#refused();
    try {
      return await this.#node.exclusive(async () =>
        this.#node.isPrimary ? await work() : this.#refused(),
      );
    } catch (error) {
      return this.#brokenOff(error as Error);
    }
  }

  /** The store is closed or the log is lost: the result of the append is unknown. */
  #brokenOff(error: Error): StoreError {
    if (!this.#node.isOver) this.#node.fail(error);
    const message = `whether the batch was applied is not known: ${error.message}`;
    return new LogUnavailableError(message, { cause: error, outcome: 'unknown' });
  }

  async #appendGroup(group: SharedGroup): Promise<StoreError | undefined> {
    const { log, environment } = this.#parts;
    const { stored, hasIntervals, ...counts } = group;
    const rowsVersion = logVersionFor(hasIntervals);
    const nonce = environment.randomBytes(NONCE_BYTES);
    const pieceBytes = log.maxEntryBytes - ENTRY_HEADER_BYTES;
    const payloadBytes = stored.payload.length;
    for (let pieceOffset = 0; pieceOffset < payloadBytes; pieceOffset += pieceBytes) {
      const piece = stored.payload.subarray(pieceOffset, pieceOffset + pieceBytes);
      const shared = { kind: 'batches' as const, codec: stored.codec, payloadBytes, nonce };
      const entry = { ...counts, ...shared, rowsVersion, pieceOffset, piece };
      const result = await this.appendOwn(entry);
      if (result !== 'ours') return this.#depose(result);
    }
    return undefined;
  }

  /** Another entry is at our position: another node has taken over. */
  #depose(result: Exclude<AppendResult, 'ours'>): StoreError {
    this.#node.depose();
    if (result === 'other') return this.#notPrimary();
    const message = 'the entry was trimmed before it could be read: it may be applied';
    return new NotPrimaryError(message, undefined, { outcome: 'unknown' });
  }

  /**
   * Rejects the waiting batches each time that the engine has not answered for `commitTimeoutMs`,
   * until `work` is over.
   */
  async #givingUp<T>(work: () => Promise<T>): Promise<T> {
    const { commitTimeoutMs, environment } = this.#parts;
    let stop = (): void => undefined;
    const arm = (): void => {
      stop = environment.clock.timer(commitTimeoutMs, () => {
        this.#giveUp();
        arm();
      });
    };
    const restart = (): void => {
      stop();
      arm();
    };
    arm();
    this.#restarts.add(restart);
    try {
      return await work();
    } finally {
      this.#restarts.delete(restart);
      stop();
    }
  }

  #giveUp(): void {
    const during = `the shared log has not answered for ${this.#parts.commitTimeoutMs} ms`;
    this.#node.replica.access.giveUp(
      () => new LogUnavailableError(`${during}; the batch may be applied`, { outcome: 'unknown' }),
      () =>
        new LogUnavailableError(`${during}; the batch was not appended`, {
          outcome: 'not-applied',
        }),
    );
  }
}
