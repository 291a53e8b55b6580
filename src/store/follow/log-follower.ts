import { equalBytes } from '../../base/bytes.ts';
import { present } from '../../base/assert.ts';
import { FILE_HEADER_BYTES, type Predecessor } from '../../format/file-header.ts';
import type { Claim } from '../../format/claim.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { LogGroup, LogReader } from '../../log/log-reader.ts';
import { isSamePredecessor } from '../recovery/verdict.ts';
import { openLog } from './settled-logs.ts';

export interface FollowedDirectory {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly storeId: Uint8Array;
}

/** Takes in one group. */
export type TakeGroup = (group: LogGroup) => Promise<void>;

/**
 * Reads the groups behind a position, up to an end that is durable and acknowledged. Each log says
 * how the one before it ended. `gap`: the logs from here to the end are not there, or are not those
 * that follow; only the directory as a whole tells what has become of them.
 */
export class LogFollower {
  readonly #at: FollowedDirectory;
  /** The log that is read, or has been. */
  #number: number;
  /** Of the last batch that was taken in. */
  #position: bigint;
  #reader: LogReader | undefined;

  /** `last`: up to where the store has been read. */
  constructor(at: FollowedDirectory, last: Pick<Predecessor, 'number' | 'lastSequence'>) {
    this.#at = at;
    this.#number = last.number;
    this.#position = last.lastSequence;
  }

  get position(): bigint {
    return this.#position;
  }

  /** Calls `take` for each group up to `end`, in order. */
  async readUpTo(end: Claim, take: TakeGroup): Promise<'done' | 'gap'> {
    if (!equalBytes(end.storeId, this.#at.storeId)) return 'gap';
    while (end.lastSequence > this.#position) {
      if (end.number < this.#number) return 'gap';
      const isLast = end.number === this.#number;
      const isRead = isLast ? await this.#drain(end.lengthBytes, take) : await this.#passOn(take);
      if (!isRead) return 'gap';
      if (isLast) return end.lastSequence === this.#position ? 'done' : 'gap';
    }
    return 'done';
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    // Only read: what cannot be closed loses nothing.
    await reader?.close().catch(() => undefined);
  }

  /** Reads the rest of this log, as far as the next one says that it goes, and leaves it. */
  async #passOn(take: TakeGroup): Promise<boolean> {
    const previous = await this.#predecessorOf(this.#number + 1);
    if (previous?.number !== this.#number) return false;
    const isLeft = previous.lastSequence > this.#position;
    if (isLeft || this.#reader !== undefined) {
      if (!(await this.#drain(previous.lengthBytes, take))) return false;
      const reader = present(this.#reader, 'the log has been read');
      if (!isSamePredecessor(reader.asPredecessor, previous)) return false;
    }
    if (previous.lastSequence !== this.#position) return false;
    await this.close();
    this.#number++;
    return true;
  }

  /** What log `number` says of the one before it; undefined where that log is not there. */
  async #predecessorOf(number: number): Promise<Predecessor | undefined> {
    const reader = await this.#open(number);
    if (reader === undefined) return undefined;
    try {
      const began = await reader.begin(FILE_HEADER_BYTES);
      return began.kind === 'skipped' ? reader.predecessor : undefined;
    } finally {
      await reader.close().catch(() => undefined);
    }
  }

  /** Reads this log up to `limitBytes`, a place between two frames. False: it is not that log. */
  async #drain(limitBytes: number, take: TakeGroup): Promise<boolean> {
    this.#reader ??= await this.#open(this.#number);
    const reader = this.#reader;
    if (reader === undefined) return false;
    while (reader.offset < limitBytes) {
      const step = await reader.next(limitBytes, this.#position);
      if (step.kind === 'unfinished' || step.kind === 'corrupt') return false;
      if (step.kind !== 'group') continue;
      const { firstSequence, batchRecordCounts } = step.group;
      if (firstSequence !== this.#position + 1n) return false;
      await take(step.group);
      this.#position += BigInt(batchRecordCounts.length);
    }
    reader.rest();
    return reader.offset === limitBytes;
  }

  #open(number: number): Promise<LogReader | undefined> {
    const { fs, directory, storeId } = this.#at;
    return openLog(fs, directory, number, storeId);
  }
}
