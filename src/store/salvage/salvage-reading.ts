import { basename, join } from 'node:path';
import { equalBytes } from '../../base/bytes.ts';
import { finishSteps } from '../../base/steps.ts';
import type { DirectoryListing } from '../../directory/listing.ts';
import { isAncestorStoreId } from '../../format/ancestor.ts';
import type { Columns } from '../../format/columns.ts';
import { FILE_HEADER_BYTES } from '../../format/file-header.ts';
import { logName, snapshotName } from '../../format/file-name.ts';
import type { Claim } from '../../format/claim.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { Folder } from '../../runs/fold.ts';
import { eachKeyIn, foldParts } from '../../runs/interval-deletes.ts';
import { PartPile } from '../../runs/part-pile.ts';
import { RunCursor } from '../../runs/run-cursor.ts';
import { readDirectoryContents } from '../recovery/directory-state.ts';
import type { Loss } from '../recovery/recovery-report.ts';
import { unmetClaim, type FoundState } from '../recovery/unmet-claim.ts';
import { salvageAncestorLog } from './salvage-ancestor-log.ts';
import { viewPlaced } from './placed-view.ts';
import { planMoves, type Move } from './placement.ts';
import { SalvageBaseReader, type SalvageBase } from './salvage-base.ts';
import { dropLog, salvageLog } from './salvage-log.ts';
import { lossOf, type SalvagedLog } from './salvage-loss.ts';
import { asPredecessor, isBlank, isSamePredecessor, type LoadedLog } from '../recovery/verdict.ts';

/** The valid records of a damaged directory, and the losses. */
export interface Salvageable {
  readonly listing: DirectoryListing;
  readonly storeId: Uint8Array;
  /** At least the highest number of any file, and of the claim. */
  readonly number: number;
  readonly epoch: number;
  /** Of the last batch that any file or the claim names. */
  readonly lastSequence: bigint;
  /** False if there may have been batches after it, which the snapshot holds. */
  readonly isSequenceKnown: boolean;
  /** Ascending. */
  readonly columns: readonly Columns[];
  /** `quarantined` is not set yet. */
  readonly losses: readonly Loss[];
  /** Files that were read under another name, or not at all. */
  readonly moves: readonly Move[];
}

/**
 * Reads what can be kept of a damaged directory. Changes nothing.
 *
 * @throws system errors unchanged, because an unreadable file is not damage; StoreError for a newer
 *   format
 */
export async function readSalvageable(
  source: FileSystem,
  directory: string,
  signal: AbortSignal,
): Promise<Salvageable> {
  const moves = await planMoves(source, directory, signal);
  const fs = viewPlaced(source, directory, moves);
  const { listing, claim } = await readDirectoryContents(fs, directory);
  const reader = new SalvageBaseReader(fs, directory, signal, { listing, claim });
  const base = await reader.read();
  const walk = new LogWalk(fs, directory, base, listing);
  const logs: LoadedLog[] = [];
  for (const number of listing.logs.filter((one) => one > base.number)) {
    logs.push(await reader.loadLog(number, base.storeId));
  }
  for (const log of logs) if (log.scan.format !== 'empty') await walk.step(log);
  const isThere = listing.snapshots.length > 0 || logs.some((log) => !isBlank(log.scan));
  const storeId = isThere ? base.storeId : (claim?.storeId ?? base.storeId);
  const isOurs = claim !== undefined && equalBytes(claim.storeId, storeId);
  const snapshot = isThere ? { number: base.number } : undefined;
  if (isOurs) walk.end(claim, logs, { directory, snapshot, storeId });
  if (!walk.isSequenceKnown) {
    if (isOurs) walk.reach(claim.lastSequence);
    walk.reach(await lastMergedSequence(reader, base, listing));
  }
  const highest = Math.max(listing.logs.at(-1) ?? 0, listing.snapshots.at(-1) ?? 0);
  return {
    listing,
    storeId,
    number: Math.max(base.number, highest, isOurs ? claim.number : 0),
    epoch: walk.highestEpoch,
    lastSequence: walk.lastSequence,
    isSequenceKnown: walk.isSequenceKnown,
    columns: fold(base.columns, await walk.updates()),
    losses: [...base.losses, ...walk.losses],
    moves,
  };
}

/** The last sequence number in the logs that were merged into the base and still exist, or 0. */
async function lastMergedSequence(
  reader: SalvageBaseReader,
  { number, storeId }: SalvageBase,
  { logs }: DirectoryListing,
): Promise<bigint> {
  let last = 0n;
  for (const merged of logs.filter((one) => one <= number)) {
    const { header, lastSequence } = (await reader.loadLog(merged, storeId)).scan;
    const isOurs = header !== undefined && equalBytes(header.storeId, storeId);
    if (isOurs && lastSequence > last) last = lastSequence;
  }
  return last;
}

function fold(records: readonly Columns[], updates: readonly Columns[]): Columns[] {
  const folded: Columns[] = [];
  const folder = new Folder((columns) => folded.push(columns));
  folder.apply(new RunCursor(records), new RunCursor(updates), undefined);
  folder.flush();
  return folded;
}

/** Processes the logs in order, and keeps track of sequence numbers. */
class LogWalk {
  readonly #pile: PartPile = new PartPile();
  readonly losses: Loss[] = [];
  lastSequence: bigint;
  highestEpoch: number;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #base: SalvageBase;
  readonly #numbers: readonly number[];
  #expected: { readonly number: number; readonly log: LoadedLog | undefined };
  /** Whether a file records how many batches came before it. */
  #isCounted: boolean;
  /** Whether a file records the sequence number of its last batch, or of the one before. */
  isSequenceKnown: boolean;

  constructor(fs: FileSystem, directory: string, base: SalvageBase, listing: DirectoryListing) {
    this.#fs = fs;
    this.#directory = directory;
    this.#base = base;
    this.#numbers = listing.logs;
    this.lastSequence = base.predecessor?.lastSequence ?? 0n;
    this.#isCounted = base.predecessor !== undefined;
    this.isSequenceKnown = this.#isCounted || base.format === 'ancestor';
    this.highestEpoch = base.epoch;
    this.#expected = { number: base.number + 1, log: undefined };
  }

  async step(log: LoadedLog): Promise<void> {
    if (log.number > this.#expected.number) this.#noteMissing(log.number);
    const last = this.lastSequence;
    const salvaged = await this.#salvage(log);
    this.#settle(log, salvaged.before);
    finishSteps(this.#pile.add(salvaged.parts));
    this.losses.push(...salvaged.losses);
    this.reach(salvaged.lastSequence);
    this.#isCounted ||= log.scan.format === 'lodestore';
    this.isSequenceKnown ||= salvaged.before !== undefined || salvaged.lastSequence > last;
    this.#expected = { number: log.number + 1, log };
  }

  /** The store had a batch with this number. */
  reach(sequence: bigint): void {
    if (sequence > this.lastSequence) this.lastSequence = sequence;
  }

  /** One update of each key. Nothing is walked after it. */
  async updates(): Promise<readonly Columns[]> {
    const { columns } = this.#base;
    return foldParts<never>(finishSteps(this.#pile.finish()), (intervals, add) => {
      finishSteps(eachKeyIn(columns, intervals, add));
      return Promise.resolve(undefined);
    });
  }

  /** Called after the last log: everything that the claim names beyond it is lost. */
  end(
    claim: Claim,
    read: readonly LoadedLog[],
    found: Omit<FoundState, 'lastSequence' | 'logs'>,
  ): void {
    const logs = read.filter((log) => !isBlank(log.scan));
    const unmet = unmetClaim({ ...found, logs, lastSequence: this.lastSequence }, claim);
    if (unmet === undefined) return;
    const { path, reason, fromOffset, toOffset, firstSequence, lastSequence } = unmet;
    // The damage within the log is already reported, and every batch after it was found.
    if (lastSequence === undefined && this.losses.some((loss) => loss.path === path)) return;
    if (!this.#closeLosses(claim.lastSequence)) {
      this.losses.push(lossOf(path, reason, fromOffset, toOffset, firstSequence, lastSequence));
    }
    if (lastSequence !== undefined) this.lastSequence = lastSequence;
  }

  /** Sets the last batch of open losses. Returns false if there are none. */
  #closeLosses(last: bigint): boolean {
    const isGone = last > this.lastSequence;
    const hasOpen = this.losses.some(isOpen);
    // Before the first batch with a number, batches of the ancestor may be lost.
    const isUnnumbered = last === 0n && isAncestorStoreId(this.#base.storeId);
    for (const [i, loss] of this.losses.entries()) {
      if (!isOpen(loss)) continue;
      this.losses[i] = isUnnumbered
        ? { ...loss, firstSequence: undefined, firstKey: 0n }
        : closed(loss, last, isGone);
    }
    return hasOpen;
  }

  async #salvage(log: LoadedLog): Promise<SalvagedLog> {
    const { header, format } = log.scan;
    const isAncestorStore = this.#base.format === 'ancestor' && this.lastSequence === 0n;
    if (isBlank(log.scan) && isAncestorStore) {
      const salvaged = await salvageAncestorLog(this.#fs, log);
      if (salvaged.parts.some(({ run }) => run.length > 0)) return salvaged;
    }
    if (isBlank(log.scan)) {
      // The log was prepared during a crash, or completely destroyed. Which one is unknown, so the
      // file is kept.
      return dropLog(log, 'no frame of this store is in the log', this.lastSequence);
    }
    if (format === 'ancestor' && (this.lastSequence > 0n || this.#base.format === 'lodestore')) {
      const reason = 'the file is not a log of this store: its magic does not match';
      return dropLog(log, reason, this.lastSequence);
    }
    if (header === undefined) {
      return salvageLog(this.#fs, log, this.#base.storeId, this.lastSequence);
    }
    const isOurs = equalBytes(header.storeId, this.#base.storeId);
    if (isOurs && header.epoch < this.highestEpoch) {
      const reason = `the log is of epoch ${header.epoch}, older than ${this.highestEpoch} before it`;
      return dropLog(log, reason, this.lastSequence);
    }
    if (isOurs) this.highestEpoch = header.epoch;
    return salvageLog(this.#fs, log, this.#base.storeId, this.lastSequence);
  }

  /** Which batches were in which log is unknown, so each loss names all of them. */
  #noteMissing(to: number): void {
    const from = this.#expected.number;
    const blank = this.#numbers.filter((number) => number >= from && number < to);
    const reason = 'the log is empty, but a later one is not';
    for (const number of blank) this.#loseLog(number, reason);
    let absent = from;
    while (blank.includes(absent)) absent++;
    const count = to - from - blank.length;
    if (count === 1) this.#loseLog(absent, 'the log is missing');
    if (count > 1) this.#loseLog(absent, `this log and ${count - 1} later ones are missing`);
  }

  #loseLog(number: number, reason: string): void {
    const path = join(this.#directory, logName(number));
    this.losses.push(lossOf(path, reason, 0, 0, this.lastSequence + 1n, undefined));
  }

  /** A log names its predecessor's last batch, so the losses before it become exact. */
  #settle(log: LoadedLog, before: bigint | undefined): void {
    if (before === undefined) return;
    if (!this.#isCounted) this.lastSequence = before;
    const isGone = before > this.lastSequence;
    if (!this.#closeLosses(before)) {
      if (isGone) this.losses.push(this.#endIsGone(log, before));
      else this.#checkPredecessor(log);
    }
    if (isGone) this.lastSequence = before;
  }

  /** The previous log ends cleanly, but this one says that it was longer. */
  #endIsGone(log: LoadedLog, before: bigint): Loss {
    const previous = this.#expected.log;
    const path = previous?.path ?? join(this.#directory, snapshotName(this.#base.number));
    const from = previous?.scan.validBytes ?? 0;
    const to = log.scan.header?.predecessor.lengthBytes ?? from;
    const reason = 'it ends before the last batch that the next log records';
    return lossOf(path, reason, from, Math.max(from, to), this.lastSequence + 1n, before);
  }

  /** All batches are there, but the log was written after another file than the one before it. */
  #checkPredecessor(log: LoadedLog): void {
    const { header } = log.scan;
    const previous = this.#expected.log;
    const found = previous === undefined ? this.#base.predecessor : asPredecessor(previous);
    const isNext = log.number === this.#expected.number;
    if (header === undefined || found === undefined || !isNext) return;
    if (isSamePredecessor(header.predecessor, found)) return;
    if (previous !== undefined && this.losses.some((loss) => loss.path === previous.path)) return;
    const { lastSequence, lengthBytes } = header.predecessor;
    // With as many batches in more bytes, only its seal is missing. Otherwise it is another file.
    // The ancestor's batches are not numbered.
    const hasAll = lastSequence === found.lastSequence && previous?.scan.format !== 'ancestor';
    const isCut = hasAll && lengthBytes > found.lengthBytes;
    const reason = 'the log was written after another file than the one before it';
    const path = isCut && previous !== undefined ? previous.path : log.path;
    const from = isCut && previous !== undefined ? found.lengthBytes : 0;
    const to = isCut && previous !== undefined ? lengthBytes : FILE_HEADER_BYTES;
    const loss = lossOf(path, reason, from, Math.max(from, to), undefined, undefined);
    this.losses.push({ ...loss, olderValuesMayShow: !isCut });
  }
}

function isOpen(loss: Loss): boolean {
  return loss.firstSequence !== undefined && loss.lastSequence === undefined;
}

function closed(loss: Loss, before: bigint, isGone: boolean): Loss {
  if (isGone) return { ...loss, lastSequence: before };
  return { ...loss, firstSequence: undefined, olderValuesMayShow: false };
}

/** Paths of the existing damaged files, without duplicates. */
export function damagedPaths({ listing, losses }: Salvageable): string[] {
  const names = new Set([...listing.logs.map(logName), ...listing.snapshots.map(snapshotName)]);
  return [...new Set(losses.map((loss) => loss.path))].filter((path) => names.has(basename(path)));
}
