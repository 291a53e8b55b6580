import type { FileSystem } from '../../fs/file-system.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import type { RetainedLogs } from './retained-logs.ts';

/** A log, with the length of its durable and acknowledged part. */
export interface ReadableLog {
  readonly number: number;
  readonly path: string;
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
  /** Whether the log is complete. */
  readonly isClosed: boolean;
}

/** The source of feeds: the current logs of a store, at the time of each call. */
export interface ChangeSource {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly storeId: Uint8Array;
  /**
   * False for a read-only store: its logs do not grow, and other processes may remove its files.
   */
  readonly isLive: boolean;
  /** Sequence number of the last batch that may be delivered: durable, acknowledged and visible. */
  readonly lastSequence: bigint;
  /** The lowest position from which every later batch is available. */
  readonly oldestPosition: bigint;
  /** Whether there are records at position 0: the ancestor's, whose batches had no numbers. */
  readonly beginsWithRecords: boolean;
  /** Log `number`, if it exists and is not empty. */
  find(number: number): ReadableLog | undefined;
  /** The log with the batch after `position`. */
  holding(position: bigint): ReadableLog | undefined;
  /** Whether log `number` holds data that no snapshot has. */
  isNeeded(number: number): boolean;
}

type SourceParts = Pick<
  ChangeSource,
  'fs' | 'directory' | 'storeId' | 'isLive' | 'beginsWithRecords'
> & {
  readonly retained: RetainedLogs;
  readonly keeper: () => Pick<LogKeeper, 'closedLogs' | 'live' | 'acknowledged'>;
};

/** The retained, closed and live logs of a store. */
export class StoreChangeSource implements ChangeSource {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly isLive: boolean;
  readonly beginsWithRecords: boolean;
  readonly #retained: RetainedLogs;
  readonly #keeper: SourceParts['keeper'];

  constructor(parts: SourceParts) {
    this.fs = parts.fs;
    this.directory = parts.directory;
    this.storeId = parts.storeId;
    this.beginsWithRecords = parts.beginsWithRecords;
    this.isLive = parts.isLive;
    this.#retained = parts.retained;
    this.#keeper = parts.keeper;
  }

  get lastSequence(): bigint {
    return this.#keeper().acknowledged.lastSequence;
  }

  get oldestPosition(): bigint {
    return this.#retained.oldestPosition;
  }

  find(number: number): ReadableLog | undefined {
    const live = this.#readableLive();
    if (live?.number === number) return live;
    const log =
      this.#keeper().closedLogs.find((one) => one.number === number) ??
      this.#retained.logs.find((one) => one.number === number);
    return log && { ...log, isClosed: true };
  }

  holding(position: bigint): ReadableLog | undefined {
    const log =
      this.#retained.logs.find((one) => one.lastSequence > position) ??
      this.#keeper().closedLogs.find((one) => one.lastSequence > position);
    if (log !== undefined) return { ...log, isClosed: true };
    const live = this.#readableLive();
    return live !== undefined && live.lastSequence > position ? live : undefined;
  }

  isNeeded(number: number): boolean {
    const { live, closedLogs } = this.#keeper();
    return live?.number === number || closedLogs.some((one) => one.number === number);
  }

  /**
   * The acknowledged part of the live log. Later batches may be lost or rejected, and their numbers
   * reused. A feed that starts now must not begin after a batch that reads do not show yet.
   */
  #readableLive(): ReadableLog | undefined {
    const { live, acknowledged } = this.#keeper();
    if (live === undefined || acknowledged.number !== live.number) return undefined;
    const { number, lengthBytes, lastSequence } = acknowledged;
    return { number, path: live.path, lengthBytes, lastSequence, isClosed: false };
  }
}
