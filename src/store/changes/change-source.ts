import type { FileSystem } from '../../fs/file-system.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import type { RetainedLogs } from './retained-logs.ts';

/** A log of which `lengthBytes` are durable and acknowledged. */
export interface ReadableLog {
  readonly number: number;
  readonly path: string;
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
  /** Nothing more is written to it. */
  readonly isClosed: boolean;
}

/** Where feeds read: the logs of a store at the moment of each question. */
export interface ChangeSource {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly storeId: Uint8Array;
  /** False: the state at opening is all there is, and others may remove its files. */
  readonly isLive: boolean;
  /** Sequence of the last batch that may be shown. */
  readonly lastSequence: bigint;
  /** The lowest position from which every later batch is still there. */
  readonly oldestPosition: bigint;
  /** Records at position 0: the ancestor's, which had no sequences. */
  readonly beginsWithRecords: boolean;
  /** Log `number`, if it is there and holds anything. */
  find(number: number): ReadableLog | undefined;
  /** The log that holds the batch behind `position`. */
  holding(position: bigint): ReadableLog | undefined;
  /** Whether log `number` holds what no snapshot does. */
  isNeeded(number: number): boolean;
}

type SourceParts = Pick<
  ChangeSource,
  'fs' | 'directory' | 'storeId' | 'isLive' | 'beginsWithRecords'
> & {
  readonly retained: RetainedLogs;
  readonly keeper: () => Pick<LogKeeper, 'closedLogs' | 'live' | 'lastSyncedSequence'>;
};

/** The logs of a store: retained, closed, live. */
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
    return this.#keeper().lastSyncedSequence;
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

  /** What the live log holds without a sync may be lost, and its numbers given to other batches. */
  #readableLive(): ReadableLog | undefined {
    const { live } = this.#keeper();
    const lengthBytes = live === undefined ? 0 : live.lengthBytes - live.unsyncedBytes;
    if (live === undefined || lengthBytes === 0) return undefined;
    const { number, path, syncedSequence } = live;
    return { number, path, lengthBytes, lastSequence: syncedSequence, isClosed: false };
  }
}
