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

/** Publishes one group. */
export type TakeGroup = (group: LogGroup) => Promise<void>;

/**
 * Reads the groups after a position, up to a durable and acknowledged end. The header of each log
 * says how the previous one ended. `gap`: the next log is missing, or does not follow; the caller
 * must read the whole directory.
 */
export class LogFollower {
  readonly #at: FollowedDirectory;
  /** The log that is being read, or was read last. */
  #number: number;
  /** Of the last batch that was published. */
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
    // Read-only: a failed close loses nothing.
    await reader?.close().catch(() => undefined);
  }

  /**
   * Reads the rest of this log, up to the length in the next log's header, and moves to that log.
   */
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

  /** The predecessor in the header of log `number`; undefined if there is no such log. */
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

  /** Reads this log up to `limitBytes`, the end of a frame. False: it is another log. */
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
