import {
  CorruptionError,
  PositionExpiredError,
  systemCode,
  type StoreError,
} from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { LogReader, type LogStep } from '../../log/log-reader.ts';
import type { Predecessor } from '../../format/file-header.ts';
import { damageHint } from '../recovery/advice.ts';
import { changesOf, type Change } from './change.ts';
import type { ChangeSource, ReadableLog } from './change-source.ts';
import { isSamePredecessor } from '../recovery/verdict.ts';

/** What a feed needs from its store. */
export interface FeedHost {
  readonly source: ChangeSource;
  /** The error that ends the feed, or undefined. */
  readonly ending: () => Error | undefined;
  /**
   * Resolves when there may be something new. Must be called in the same turn of the event loop in
   * which nothing was found.
   */
  readonly whenChanged: () => Promise<void>;
  readonly onEnded: (feed: ChangeFeed) => void;
  /** Called if a log that the store needs is missing. Returns the error. */
  readonly onLost: (path: string, cause: unknown) => Error;
}

/**
 * Reads every batch after a position from the log files, in commit order, each once.
 *
 * States: `new` until the first `next`; `reading`; `ended` after the last batch of a read-only
 * store, `return`, or an error. An ended feed has no open file and never continues.
 *
 * A step:
 *
 * 1. Without an open log: a position before the oldest available one is refused
 *    (PositionExpiredError). Otherwise the log with the next batch is opened by its name. Its
 *    header must name the previously read log as its predecessor.
 * 2. With an open log: one frame is read, up to a limit. The limit is the acknowledged length of
 *    the live log (`LogKeeper.acknowledged`), the length of a closed log, and the length of the
 *    open file for a log that a merge has removed meanwhile. Everything below the limit was
 *    durable, so a torn frame there is damage, not an end.
 * 3. At the limit of the live log, the feed waits for the next commit or sync. It checks for news
 *    in the turn of the event loop in which nothing was found, so no wake-up is lost. At the limit
 *    of any other log, the file is closed, and step 1 follows.
 *
 * Calls of `next` and `return` are serialized. The committer, rotations and merges run concurrently
 * and never wait for a feed: it only reads, and an open file stays readable after a merge has
 * removed its name. If a log is removed between the lookup in step 1 and its opening, the lookup is
 * repeated.
 *
 * A feed leaves nothing behind after a crash. A batch is delivered only after its sync, so another
 * feed can continue from the stored position of the last processed batch.
 */
export class ChangeFeed implements AsyncIterableIterator<Change> {
  readonly #host: FeedHost;
  readonly #source: ChangeSource;
  #position: bigint;
  #state: 'new' | 'reading' | 'ended' = 'new';
  readonly #isExplicit: boolean;
  /** Serializes the steps, in the order of the calls. */
  #turn: Promise<unknown> = Promise.resolve();
  #batches: Iterator<Change> | undefined;
  #reader: LogReader | undefined;
  /** The final length of the log being read, if known. */
  #finalBytes: number | undefined;
  /** The end of the previously read log. */
  #previous: Predecessor | undefined;

  /** `after` undefined: starts at the current position. */
  constructor(host: FeedHost, after: bigint | undefined) {
    this.#host = host;
    this.#source = host.source;
    this.#position = after ?? host.source.lastSequence;
    this.#isExplicit = after !== undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    return this.#inTurn(() => this.#next());
  }

  /** Ends the feed, as leaving a `for await` loop does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async return(): Promise<IteratorResult<Change, undefined>> {
    await this.end();
    return DONE;
  }

  /** Ends the feed and closes its file. A step in progress then finds nothing. */
  async end(): Promise<void> {
    this.#state = 'ended';
    this.#host.onEnded(this);
    await this.#inTurn(() => this.#release());
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(step);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #next(): Promise<IteratorResult<Change, undefined>> {
    try {
      if (this.#state === 'new') this.#start();
      for (;;) {
        if (this.#isOver()) break;
        const batch = this.#batches?.next();
        if (batch?.done === false) {
          this.#position = batch.value.sequence;
          return { done: false, value: batch.value };
        }
        this.#batches = undefined;
        if (!(await this.#step())) break;
      }
      this.#state = 'ended';
    } catch (error) {
      this.#state = 'ended';
      await this.#release();
      throw storeErrorOf(error, {
        what: 'the changes could not be read',
        path: this.#source.directory,
      });
    }
    await this.#release();
    return DONE;
  }

  #start(): void {
    this.#state = 'reading';
    const source = this.#source;
    if (this.#position > source.lastSequence) {
      throw this.#expired('the store has not reached it; the position is of another store');
    }
    if (this.#isExplicit && this.#position === 0n && source.beginsWithRecords) {
      throw this.#expired('the store began with records that are in no batch');
    }
  }

  /** Whether the feed has ended. Throws the error that ended it. */
  #isOver(): boolean {
    if (this.#state === 'ended') return true;
    const ending = this.#host.ending();
    if (ending !== undefined) throw ending;
    return false;
  }

  /** Reads one frame, or waits. Returns false if nothing will come. */
  async #step(): Promise<boolean> {
    if (this.#reader === undefined) return this.#open();
    const reader = this.#reader;
    const log = this.#source.find(reader.number);
    if (log?.isClosed === true) this.#finalBytes = log.lengthBytes;
    // The log was sealed, merged and removed. The open file is read up to the seal.
    if (log === undefined) this.#finalBytes ??= await reader.fileBytes();
    const limitBytes = this.#finalBytes ?? log!.lengthBytes;
    if (reader.offset < limitBytes) {
      this.#take(await reader.next(limitBytes, this.#position), limitBytes);
    } else if (this.#finalBytes === undefined) {
      reader.rest();
      await this.#host.whenChanged();
    } else await this.#leave(reader);
    return true;
  }

  /** Opens the log that continues at the position, or waits until there is one. */
  async #open(): Promise<boolean> {
    const source = this.#source;
    if (this.#position < source.oldestPosition)
      throw this.#expired('the logs after it have been merged');
    const log = source.holding(this.#position);
    if (log === undefined) {
      if (!source.isLive) return false;
      await this.#host.whenChanged();
      return true;
    }
    const { fs, storeId } = source;
    try {
      this.#reader = await LogReader.open(fs, log.path, log.number, storeId);
    } catch (error) {
      return this.#missed(log, error);
    }
    this.#finalBytes = undefined;
    this.#take(await this.#reader.next(log.lengthBytes, this.#position), log.lengthBytes);
    this.#checkBeginning(this.#reader);
    return true;
  }

  /** Handles a log that a merge has removed between its lookup and its opening. */
  #missed(log: ReadableLog, error: unknown): boolean {
    const isGone = systemCode(error) === 'ENOENT';
    if (isGone && this.#source.find(log.number) === undefined) return true;
    if (isGone && !this.#source.isLive) throw this.#expired('the logs after it have been merged');
    if (isGone && this.#source.isNeeded(log.number)) throw this.#host.onLost(log.path, error);
    if (isGone) throw this.#damaged(log, 0, 'a retained log is missing');
    throw error;
  }

  #checkBeginning(reader: LogReader): void {
    const { predecessor } = reader;
    if (predecessor === undefined) return;
    const previous = this.#previous;
    const follows =
      previous === undefined
        ? predecessor.lastSequence <= this.#position
        : isSamePredecessor(previous, predecessor);
    if (!follows) throw this.#damaged(reader, 0, 'the log does not follow the one before it');
  }

  #take(step: LogStep, limitBytes: number): void {
    const reader = this.#reader!;
    if (step.kind === 'group') this.#batches = changesOf(step.group, this.#position);
    else if (step.kind === 'sealed') this.#finalBytes = reader.offset;
    else if (step.kind === 'unfinished' || step.kind === 'corrupt') {
      const where = `; it was durable up to offset ${limitBytes}`;
      const offset = step.kind === 'corrupt' ? step.offset : reader.offset;
      throw this.#damaged(reader, offset, step.reason + where);
    }
  }

  async #leave(reader: LogReader): Promise<void> {
    this.#previous = reader.asPredecessor;
    await this.#release();
  }

  async #release(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#batches = undefined;
    if (this.#state === 'ended') this.#host.onEnded(this);
    // The file was only read, so a failed close loses nothing.
    await reader?.close().catch(() => undefined);
  }

  #damaged(log: { readonly path: string }, offset: number, reason: string): CorruptionError {
    const hint = damageHint(this.#source.directory);
    const firstSequence = this.#position + 1n;
    return new CorruptionError({ path: log.path, offset, reason, firstSequence, hint });
  }

  #expired(why: string): StoreError {
    const { oldestPosition, lastSequence, directory } = this.#source;
    return new PositionExpiredError(
      `position ${this.#position} cannot be followed in ${directory}: ${why}; ` +
        `positions ${oldestPosition} to ${lastSequence} can be followed`,
      { position: this.#position, oldestPosition, lastPosition: lastSequence },
      { path: directory },
    );
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
