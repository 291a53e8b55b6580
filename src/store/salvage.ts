import { join } from 'node:path';
import { assert } from '../base/assert.ts';
import { FencedError } from '../base/errors.ts';
import { listDirectory, type DirectoryListing } from '../directory/listing.ts';
import type { Columns } from '../format/columns.ts';
import { logName, snapshotName, temporarySnapshotName } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { unlinkIfThere } from '../fs/unlink.ts';
import { Folder, foldRuns } from '../jobs/fold.ts';
import { loadLog } from '../jobs/load-log.ts';
import { readAncestorSnapshot } from '../jobs/load-ancestor.ts';
import { RunCursor } from '../jobs/run-cursor.ts';
import { SnapshotWriter } from '../snapshot/snapshot-writer.ts';
import { quarantine } from './quarantine.ts';
import type { Loss } from './recovery-report.ts';
import { lossOf, salvageLog } from './salvage-log.ts';
import { salvageIndexed, salvageUnindexed, type SalvagedSnapshot } from './salvage-snapshot.ts';
import { newerLogs, type RecoveryContext } from './recovery.ts';
import { readSnapshotState, storeIdOf, type SnapshotState } from './snapshot-state.ts';
import { isBlank, predecessorOf, type LoadedLog } from './verdict.ts';

/**
 * Keeps what verifies of a damaged directory: writes it as a new snapshot, copies damaged originals to
 * `quarantine/`, and removes what the snapshot replaces. Afterwards the directory recovers without
 * damage. Every step before the new snapshot's name is durable leaves the originals as they were.
 * @throws system errors as they are: an unreadable file is not damage, and nothing is touched
 */
export async function salvage(
  context: RecoveryContext,
  isLeaseFresh: () => boolean,
): Promise<readonly Loss[]> {
  return new Salvage(context, isLeaseFresh).run();
}

interface Base extends SalvagedSnapshot {
  readonly state: SnapshotState | undefined;
  readonly number: number;
  readonly storeId: Uint8Array;
  readonly lastSequence: bigint;
}

class Salvage {
  readonly #fs: FileSystem;
  readonly #context: RecoveryContext;
  readonly #directory: string;
  readonly #isLeaseFresh: () => boolean;

  constructor(context: RecoveryContext, isLeaseFresh: () => boolean) {
    this.#context = context;
    this.#fs = context.fs;
    this.#directory = context.directory;
    this.#isLeaseFresh = isLeaseFresh;
  }

  async run(): Promise<readonly Loss[]> {
    const listing = await listDirectory(this.#fs, this.#directory);
    const base = await this.#salvageBase(listing);
    const logs = await this.#loadLogs(listing, base);
    const { runs, losses, lastSequence, highestEpoch } = await this.#salvageLogs(base, logs);
    const records = fold(base.columns, foldRuns(runs));
    const number = Math.max(
      base.number + 1,
      listing.logs.at(-1) ?? 0,
      listing.snapshots.at(-1) ?? 0,
    );
    const isTaken = listing.snapshots.includes(number);
    const target = isTaken ? number + 1 : number;
    await this.#writeSnapshot(target, base.storeId, highestEpoch + 1, lastSequence, records);
    const reported = await this.#quarantineAll([...base.losses, ...losses]);
    await this.#install(target, listing);
    return reported;
  }

  /** The newest snapshot, or what verifies of it. */
  async #salvageBase(listing: DirectoryListing): Promise<Base> {
    const number = listing.snapshots.at(-1);
    if (number === undefined) return this.#withoutSnapshot(listing);
    const state = await readSnapshotState(this.#fs, this.#directory, number);
    if (!('hint' in state)) return this.#readable(state);
    const storeId = await this.#findStoreId(listing);
    const { path, reason } = state;
    const salvaged = await salvageUnindexed(this.#fs, path, number, storeId, reason);
    return { ...salvaged, state: undefined, number, storeId, lastSequence: 0n };
  }

  async #withoutSnapshot(listing: DirectoryListing): Promise<Base> {
    const storeId = await this.#findStoreId(listing);
    const number = (listing.logs[0] ?? 1) - 1;
    const path = join(this.#directory, snapshotName(number));
    const loss = lossOf(path, 'the snapshot is missing', 0, 0, undefined, undefined);
    const losses = number > 0 ? [{ ...loss, olderValuesMayShow: false }] : [];
    return { columns: [], losses, state: undefined, number, storeId, lastSequence: 0n };
  }

  async #readable(state: SnapshotState): Promise<Base> {
    const { number, path } = state;
    const storeId = storeIdOf(state);
    const { lastSequence } = predecessorOf(state);
    if (state.format === 'lodestore') {
      const salvaged = await salvageIndexed(this.#fs, path, state.file);
      return { ...salvaged, state, number, storeId, lastSequence };
    }
    const records = await readAncestorSnapshot(this.#fs, path, this.#context.signal);
    if (Array.isArray(records)) {
      return { columns: records, losses: [], state, number, storeId, lastSequence };
    }
    const loss = lossOf(path, records.reason, 0, state.fileBytes, undefined, undefined);
    const losses = [{ ...loss, olderValuesMayShow: false }];
    return { columns: [], losses, state, number, storeId, lastSequence };
  }

  /** The id in the first file header that verifies: with the snapshot's gone, a log knows it too. */
  async #findStoreId(listing: DirectoryListing): Promise<Uint8Array> {
    for (const number of listing.logs) {
      const { scan } = await this.#loadLog(number, undefined);
      if (scan.header !== undefined) return scan.header.storeId;
    }
    for (const number of listing.snapshots.toReversed()) {
      const state = await readSnapshotState(this.#fs, this.#directory, number);
      if (!('hint' in state)) return storeIdOf(state);
    }
    return storeIdOf(undefined);
  }

  async #loadLog(number: number, storeId: Uint8Array | undefined): Promise<LoadedLog> {
    const path = join(this.#directory, logName(number));
    const { signal } = this.#context;
    const job = { kind: 'load-log' as const, path, number, storeId };
    const result = await loadLog(this.#fs, job, { signal, onProgress: () => undefined });
    return { number, path, ...result };
  }

  async #loadLogs(listing: DirectoryListing, base: Base): Promise<LoadedLog[]> {
    const logs: LoadedLog[] = [];
    for (const number of newerLogs(listing, base.state ?? { number: base.number })) {
      logs.push(await this.#loadLog(number, base.storeId));
    }
    return logs.filter((log) => !isBlank(log.scan));
  }

  async #salvageLogs(
    base: Base,
    logs: readonly LoadedLog[],
  ): Promise<{
    runs: (readonly Columns[])[];
    losses: Loss[];
    lastSequence: bigint;
    highestEpoch: number;
  }> {
    const runs: (readonly Columns[])[] = [];
    const losses: Loss[] = [];
    let { lastSequence } = base;
    let expectedNumber = base.number + 1;
    let highestEpoch = base.state?.format === 'lodestore' ? base.state.file.header.epoch : 0;
    for (const log of logs) {
      const { header } = log.scan;
      const before = header?.predecessor.lastSequence ?? lastSequence;
      const isKnownGap = before > lastSequence && base.state !== undefined;
      if (log.number > expectedNumber || isKnownGap) {
        losses.push(this.#missing(expectedNumber, log.number, lastSequence, before));
      }
      const salvaged = await salvageLog(
        this.#fs,
        log,
        base.storeId,
        before > lastSequence ? before : lastSequence,
      );
      runs.push(salvaged.run);
      losses.push(...salvaged.losses);
      if (salvaged.lastSequence > lastSequence) lastSequence = salvaged.lastSequence;
      highestEpoch = Math.max(highestEpoch, header?.epoch ?? 0);
      expectedNumber = log.number + 1;
    }
    return { runs, losses, lastSequence, highestEpoch };
  }

  #missing(from: number, to: number, lastSequence: bigint, before: bigint): Loss {
    const path = join(this.#directory, logName(Math.min(from, to - 1)));
    const reason = from < to ? 'the log is missing' : 'the end of the log before is missing';
    const isKnown = before > lastSequence;
    return lossOf(
      path,
      reason,
      0,
      0,
      isKnown ? lastSequence + 1n : undefined,
      isKnown ? before : undefined,
    );
  }

  async #writeSnapshot(
    number: number,
    storeId: Uint8Array,
    epoch: number,
    lastSequence: bigint,
    records: readonly Columns[],
  ): Promise<void> {
    const path = join(this.#directory, temporarySnapshotName(number));
    await unlinkIfThere(this.#fs, path);
    const file = await this.#fs.open(path, 'wx');
    try {
      const predecessor = { number, lengthBytes: 0, lastSequence, chain: 0 };
      const header = { kind: 'snapshot' as const, storeId, number, epoch, predecessor };
      const writer = new SnapshotWriter(file, header);
      for (const columns of records) await writer.writeChunk(columns);
      await writer.finish();
    } finally {
      await file.close();
    }
  }

  /** Copies each damaged file once and notes in its losses where it went. */
  async #quarantineAll(losses: readonly Loss[]): Promise<Loss[]> {
    const places = new Map<string, string | undefined>();
    for (const { path, toOffset } of losses) {
      if (places.has(path)) continue;
      const isThere = toOffset > 0;
      places.set(path, isThere ? await quarantine(this.#fs, this.#directory, path) : undefined);
    }
    return losses.map((loss) => ({ ...loss, quarantined: places.get(loss.path) }));
  }

  async #install(number: number, listing: DirectoryListing): Promise<void> {
    this.#requireLease();
    const path = join(this.#directory, snapshotName(number));
    await this.#fs.rename(join(this.#directory, temporarySnapshotName(number)), path);
    await this.#fs.syncDirectory(this.#directory);
    const replaced = [
      ...listing.logs.filter((log) => log <= number).map(logName),
      ...listing.snapshots.filter((snapshot) => snapshot < number).map(snapshotName),
    ];
    for (const name of replaced) {
      this.#requireLease();
      assert(name !== snapshotName(number), 'what has just been written is not removed');
      await unlinkIfThere(this.#fs, join(this.#directory, name));
    }
  }

  #requireLease(): void {
    if (!this.#isLeaseFresh()) {
      throw new FencedError("the directory's lease ran out while it was being salvaged");
    }
  }
}

function fold(records: readonly Columns[], updates: readonly Columns[]): Columns[] {
  const folded: Columns[] = [];
  const folder = new Folder((columns) => folded.push(columns));
  folder.apply(new RunCursor(records), new RunCursor(updates), undefined);
  folder.flush();
  return folded;
}
