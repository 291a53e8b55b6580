import { join } from 'node:path';
import { CorruptionError, PositionExpiredError, systemCode } from '../base/errors.ts';
import { listDirectory } from '../directory/listing.ts';
import type { Claim } from '../format/claim.ts';
import { logName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { LogReader, type LogGroup } from '../log/log-reader.ts';
import { damageHint } from '../store/recovery/advice.ts';
import { surveyRetained } from '../store/changes/retained-survey.ts';
import {
  judgeDirectory,
  noStoreError,
  readDirectoryState,
  requireUndamaged,
} from '../store/recovery/directory-state.ts';
import { readSettled } from '../store/recovery/settled-reading.ts';
import { claimDamage, unmetClaim } from '../store/recovery/unmet-claim.ts';
import { isSamePredecessor } from '../store/recovery/verdict.ts';

/** The start of a trail. */
interface Beginning {
  readonly storeId: Uint8Array;
  readonly numbers: readonly number[];
  /** The lowest position that can be followed. */
  readonly oldestPosition: bigint;
  readonly snapshotSequence: bigint;
  /** Logs in the ancestor's format may precede lodestore's. */
  readonly isAncestor: boolean;
  /** What was synced before the directory was listed, according to the lock file. */
  readonly claim: Claim | undefined;
}

/**
 * Follows the logs of a directory without a lock, while a store may write to it. The last group is
 * taken as found: the store may be dead and the group acknowledged, or alive and the group rejected
 * later.
 */
export class LogTrail {
  readonly #fs: FileSystem;
  readonly #directory: string;
  #after: bigint | undefined;
  #isChecked = false;
  #storeId: Uint8Array | undefined;
  #snapshotSequence = 0n;
  #claim: Claim | undefined;
  /** Offset at which a log ended, although the next log says that it is longer. */
  #stuckAt: number | undefined;
  #reader: LogReader | undefined;
  /** Readings of what is behind the ends of logs that have not moved. */
  readonly #searches: SearchPace = new SearchPace();
  /** Where a later frame proved that the next frame had been synced. */
  #provenAt: string | undefined;

  /** `after` undefined: starts with the oldest available batch. */
  constructor(fs: FileSystem, directory: string, after: bigint | undefined) {
    this.#fs = fs;
    this.#directory = directory;
    this.#after = after;
  }

  /** The sequence number after which the next group starts. */
  get position(): bigint {
    return this.#after ?? 0n;
  }

  /**
   * Returns the next group with a batch after the position, or undefined if there is none yet.
   *
   * @throws PositionExpiredError, CorruptionError, StoreError; system errors unchanged
   */
  async next(): Promise<LogGroup | undefined> {
    this.#reader ??= await this.#begin();
    while (this.#reader !== undefined) {
      const reader = this.#reader;
      const step = await reader.next(await reader.fileBytes(), this.position);
      if (step.kind === 'corrupt') throw this.#damaged(reader, step.reason);
      if (step.kind === 'group') {
        const { firstSequence, batchRecordCounts } = step.group;
        this.#after = firstSequence + BigInt(batchRecordCounts.length) - 1n;
        return step.group;
      }
      if (step.kind === 'skipped') continue;
      reader.rest();
      const reason = step.kind === 'unfinished' ? step.reason : undefined;
      if (await this.#goOn(reader, reason)) continue;
      if (reason === undefined || !(await this.#isContradicted(reader, reason))) break;
    }
    await this.#checkReached();
    return undefined;
  }

  async close(): Promise<void> {
    await this.#reader?.close();
    this.#reader = undefined;
  }

  #begin(): Promise<LogReader | undefined> {
    return readSettled(
      this.#directory,
      () => this.#tryToBegin(),
      () => [],
    );
  }

  async #tryToBegin(): Promise<LogReader | undefined> {
    const { storeId, numbers, oldestPosition, ...found } = await this.#find();
    this.#after ??= oldestPosition;
    if (this.#after < oldestPosition)
      throw this.#expired(oldestPosition, 'the logs after it have been merged');
    this.#storeId = storeId;
    this.#snapshotSequence = found.snapshotSequence;
    // If only logs of the ancestor exist, the trail reads none of them and cannot check the claim.
    this.#claim = found.isAncestor ? undefined : found.claim;
    for (const number of numbers) {
      const reader = await this.#openLog(number);
      if (await this.#beginOrClose(reader)) return reader;
      if (!found.isAncestor) return undefined;
    }
    return undefined;
  }

  /** Returns whether the log has begun. If it has not, or has an invalid header, closes it. */
  async #beginOrClose(reader: LogReader): Promise<boolean> {
    let isBegun = false;
    try {
      isBegun = await this.#begins(reader);
    } finally {
      if (!isBegun) await reader.close();
    }
    return isBegun;
  }

  async #begins(reader: LogReader): Promise<boolean> {
    let step = await reader.begin(await reader.fileBytes());
    if (step.kind === 'unfinished' && this.#searches.isHeadDue(reader.number)) {
      const later = await reader.laterFrames(await reader.fileBytes());
      reader.rest();
      if (later.kind === 'frames') {
        // A store may have begun the log meanwhile.
        this.#searches.repeatHead(reader.number);
        const reason = provenReason(step.reason, later.offset);
        step = await reader.begin(await reader.fileBytes());
        if (step.kind === 'unfinished') throw this.#damaged(reader, reason);
      }
    }
    if (step.kind === 'corrupt') throw this.#damaged(reader, step.reason);
    return step.kind === 'skipped';
  }

  /** The current logs that may hold the next batch, oldest first. */
  async #find(): Promise<Beginning> {
    const fs = this.#fs;
    const state = await readDirectoryState(fs, this.#directory);
    const { claim, listing, snapshot, storeId, newer } = state;
    if (snapshot === undefined && newer.length === 0) {
      requireUndamaged(judgeDirectory(state, []));
      throw noStoreError(this.#directory);
    }
    const retention = await surveyRetained(fs, this.#directory, listing, snapshot, Infinity);
    const { logs, snapshotSequence } = retention;
    const kept = logs.filter((log) => log.lastSequence > (this.#after ?? -1n));
    const isAncestor = snapshot?.format !== 'lodestore';
    return {
      storeId,
      numbers: [...kept, ...newer].map((log) => log.number),
      oldestPosition: logs[0]?.before ?? snapshotSequence,
      snapshotSequence,
      isAncestor,
      claim,
    };
  }

  #openLog(number: number): Promise<LogReader> {
    const path = join(this.#directory, logName(number));
    return LogReader.open(this.#fs, path, number, this.#storeId!);
  }

  /**
   * Called at the current end of a log. Moves to the next log if that has begun. Returns false if
   * it has not.
   */
  async #goOn(reader: LogReader, reason: string | undefined): Promise<boolean> {
    const next = await this.#openNext(reader);
    if (next === undefined) return false;
    const before = next.predecessor;
    if (before !== undefined && isSamePredecessor(before, reader.asPredecessor)) {
      this.#reader = next;
      this.#stuckAt = undefined;
      await reader.close();
      return true;
    }
    await next.close();
    if (before === undefined) return false;
    // The next log follows a longer one: the missing bytes must be readable by now.
    const isLonger = before.lengthBytes > reader.offset;
    if (!isLonger || this.#stuckAt === reader.offset) {
      throw this.#damaged(reader, reason ?? 'the next log follows another one');
    }
    this.#stuckAt = reader.offset;
    return true;
  }

  async #openNext(reader: LogReader): Promise<LogReader | undefined> {
    const next = await this.#openIfThere(reader.number + 1);
    if (next === undefined) {
      await this.#requireNotPassed(reader.number + 1);
      return undefined;
    }
    return (await this.#beginOrClose(next)) ? next : undefined;
  }

  /**
   * Called at the end of the last log. Returns true if a later frame proves that the frame at the
   * end had been synced: it is then read again, because a store may have written it since.
   *
   * @throws CorruptionError if the frame is still invalid
   */
  async #isContradicted(reader: LogReader, reason: string): Promise<boolean> {
    const place = `${reader.number} ${reader.offset}`;
    const isProven = this.#provenAt === place;
    if (!isProven && !this.#searches.isEndDue(`${place} ${reason}`)) return false;
    const later = await reader.laterFrames(await reader.fileBytes());
    reader.rest();
    if (later.kind !== 'frames') return false;
    if (isProven) throw this.#damaged(reader, provenReason(reason, later.offset));
    this.#provenAt = place;
    return true;
  }

  /** Undefined if there is no such log. A directory with its name is not a log. */
  async #openIfThere(number: number): Promise<LogReader | undefined> {
    try {
      const { kind } = await this.#fs.stat(join(this.#directory, logName(number)));
      return kind === 'directory' ? undefined : await this.#openLog(number);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Log `number` does not exist: either it was not created yet, or it was removed. */
  async #requireNotPassed(number: number): Promise<void> {
    const { snapshots } = await listDirectory(this.#fs, this.#directory);
    if ((snapshots.at(-1) ?? -1) < number) return;
    const { oldestPosition } = await this.#find();
    if (oldestPosition > this.position)
      throw this.#expired(oldestPosition, 'the logs after it have been merged');
  }

  /**
   * Runs once, at the end. What the claim names must have been read by now or be in a snapshot. A
   * position beyond the last batch belongs to another history.
   */
  async #checkReached(): Promise<void> {
    if (this.#isChecked) return;
    this.#isChecked = true;
    await this.#requireClaimed();
    const last = this.#reader?.asPredecessor.lastSequence ?? this.#snapshotSequence;
    if (last >= this.position) return;
    throw this.#expired(undefined, `the last batch is ${last}`);
  }

  async #requireClaimed(): Promise<void> {
    const [reader, storeId, directory] = [this.#reader, this.#storeId, this.#directory];
    if (this.#claim === undefined || storeId === undefined) return;
    // Merges may have made progress meanwhile.
    const { snapshots } = await listDirectory(this.#fs, directory);
    const newest = snapshots.at(-1);
    const snapshot = newest === undefined ? undefined : { number: newest };
    const end = reader?.asPredecessor;
    const lastSequence = end?.lastSequence ?? this.#snapshotSequence;
    const logs =
      end === undefined
        ? []
        : [{ number: end.number, scan: { validBytes: end.lengthBytes, lastSequence } }];
    const unmet = unmetClaim({ directory, snapshot, storeId, logs, lastSequence }, this.#claim);
    if (unmet !== undefined) throw new CorruptionError(claimDamage(directory, unmet));
  }

  #expired(oldest: bigint | undefined, why: string): PositionExpiredError {
    const { position } = this;
    const where =
      oldest === undefined ? '' : `; the lowest position that can be followed is ${oldest}`;
    return new PositionExpiredError(
      `position ${position} cannot be followed in ${this.#directory}: ${why}${where}`,
      { position, oldestPosition: oldest ?? 0n, lastPosition: position },
      { path: this.#directory },
    );
  }

  #damaged(reader: LogReader, reason: string): CorruptionError {
    const { path, offset } = reader;
    return new CorruptionError({ path, offset, reason, hint: damageHint(this.#directory) });
  }
}

/** In the words of recovery. */
function provenReason(reason: string, offset: number): string {
  return `${reason}; a later frame, at offset ${offset}, proves that it had been synced`;
}

/**
 * Decides when to search the rest of a log, which may be long: at the first end, and again when a
 * trail has waited at one place for 2, 4, 8, … readings.
 */
class SearchPace {
  readonly #heads: Map<number, number> = new Map();
  #end: { readonly place: string; readonly readings: number } | undefined;

  /** The log has no valid header. */
  isHeadDue(number: number): boolean {
    const readings = (this.#heads.get(number) ?? 0) + 1;
    this.#heads.set(number, readings);
    return isPowerOfTwo(readings);
  }

  /** The next search is due at once, to confirm what this one has found. */
  repeatHead(number: number): void {
    this.#heads.delete(number);
  }

  /** The log ends at `place`. */
  isEndDue(place: string): boolean {
    const isFirst = this.#end === undefined;
    const readings = this.#end?.place === place ? this.#end.readings + 1 : 1;
    this.#end = { place, readings };
    return isFirst || (readings > 1 && isPowerOfTwo(readings));
  }
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}
