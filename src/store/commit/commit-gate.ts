import type { StoreError } from '../../base/errors.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { StoredPayload } from '../../log/group-encoder.ts';
import type { LogGroup } from '../../log/log-reader.ts';
import type { Table } from '../../table/table.ts';

/** A group as a shared log stores it. */
export interface SharedGroup {
  /** Sequence of its first batch. */
  readonly firstSequence: bigint;
  readonly batchCount: number;
  readonly recordCount: number;
  /** Bytes of the rows and the batch table, before compression. */
  readonly decodedBytes: number;
  readonly stored: StoredPayload;
  /** Whether a row deletes an interval of keys. */
  readonly hasIntervals: boolean;
}

/** A group that was read from a shared log. */
export interface ArrivedGroup extends SharedGroup {
  /** Rows, then the batch table if there is more than one batch. */
  readonly decoded: Uint8Array;
}

/**
 * Decides whether a group is committed. A replicated store commits a group when the shared log has
 * it, before it writes it to this directory. Local stores have no gate.
 */
export interface CommitGate {
  /** Called once, when the store is open for writing. */
  attach(access: ReplicaAccess): void;
  /** Why the group is refused, or undefined. Called before space and conditions are checked. */
  refusal(group: readonly QueuedBatch[]): StoreError | undefined;
  /**
   * Called if conditions were evaluated and no batch writes anything. Resolves to undefined if this
   * node was still the primary, else to an error with outcome `not-applied`. Never rejects.
   */
  confirm(): Promise<StoreError | undefined>;
  /**
   * Resolves to undefined when the group is committed: then it is written here, without a sync.
   * Resolves to an error when it is not; the store stays usable. Never rejects. The payload is
   * valid until then.
   */
  append(group: SharedGroup): Promise<StoreError | undefined>;
  /** The group that was appended, or applied, is visible. */
  shown(): void;
  /**
   * A merge is about to remove the groups up to this sequence from the logs. If it rejects, the
   * merge fails and is tried again.
   */
  beforeRemoval(lastSequence: bigint): Promise<void>;
}

/** What a gate may use of its store. */
export interface ReplicaAccess {
  readonly storeId: Uint8Array;
  /** Of the last group in the logs of this directory. */
  readonly lastSequence: bigint;
  readonly lastSyncedSequence: bigint;
  /** The visible records. Throws StoreClosedError. */
  readonly table: () => Table;
  /**
   * Writes a group from the shared log without a sync and shows it. It begins where the log ends.
   * Rejects with outcome `not-applied` if that cannot be done now.
   */
  readonly apply: (group: ArrivedGroup) => Promise<void>;
  /**
   * Rejects the batches in flight, while the append of their group continues, and those in the
   * queue.
   */
  readonly giveUp: (inFlight: () => StoreError, queued: () => StoreError) => void;
  /**
   * Reads the groups after a sequence number from the logs of this directory. Must be called before
   * the first write.
   */
  readonly groupsAfter: (sequence: bigint) => AsyncIterable<LogGroup>;
}

interface Arrival {
  readonly group: ArrivedGroup;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Groups of a shared log that wait for their turn in the commit loop. */
export class Arrivals {
  readonly #onArrival: () => void;
  #waiting: Arrival[] = [];

  constructor(onArrival: () => void) {
    this.#onArrival = onArrival;
  }

  get areWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when the group is visible. */
  add(group: ArrivedGroup): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ group, resolve, reject });
      this.#onArrival();
    });
  }

  take(): Arrival[] {
    return this.#waiting.splice(0);
  }
}
