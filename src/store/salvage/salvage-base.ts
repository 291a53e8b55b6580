import { join } from 'node:path';
import type { DirectoryListing } from '../../directory/listing.ts';
import { isAncestorStoreId } from '../../format/ancestor.ts';
import type { Claim } from '../../format/claim.ts';
import type { Predecessor } from '../../format/file-header.ts';
import { logName, snapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readAncestorSnapshot } from '../../jobs/load-ancestor.ts';
import { scanLog } from '../../log/log-scan.ts';
import { readSnapshotHeader } from '../../snapshot/snapshot-header.ts';
import type { DirectoryContents } from '../recovery/directory-state.ts';
import type { Loss } from '../recovery/recovery-report.ts';
import {
  salvageIndexed,
  salvageUnindexed,
  snapshotLoss,
  type SalvagedSnapshot,
} from './salvage-snapshot.ts';
import { readSnapshotState, storeIdOf, type SnapshotState } from '../recovery/snapshot-state.ts';
import {
  isSamePredecessor,
  judgeLogs,
  predecessorOf,
  type LoadedLog,
} from '../recovery/verdict.ts';
import { findLostStoreId } from './store-id.ts';

/** The records into which the logs are folded. */
export interface SalvageBase extends SalvagedSnapshot {
  readonly number: number;
  readonly format: 'lodestore' | 'ancestor' | 'unknown';
  readonly storeId: Uint8Array;
  /** The predecessor of the first log, if the snapshot records it. */
  readonly predecessor: Predecessor | undefined;
  readonly epoch: number;
}

/** Chooses and reads the snapshot of a damaged directory. Changes nothing. */
export class SalvageBaseReader {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #listing: DirectoryListing;
  readonly #claim: Claim | undefined;

  constructor(
    fs: FileSystem,
    directory: string,
    signal: AbortSignal,
    { listing, claim }: Pick<DirectoryContents, 'listing' | 'claim'>,
  ) {
    this.#fs = fs;
    this.#directory = directory;
    this.#signal = signal;
    this.#listing = listing;
    this.#claim = claim;
  }

  /**
   * Reads the newest snapshot, or the valid part of it. If an older snapshot and the logs up to the
   * newest one still exist, and provably hold all of it, these are used instead: then nothing is
   * lost.
   */
  async read(): Promise<SalvageBase> {
    const newest = this.#listing.snapshots.at(-1);
    if (newest === undefined) return this.#withoutSnapshot();
    const base = await this.#readSnapshot(newest);
    if (base.losses.length === 0) return base;
    for (const older of this.#listing.snapshots.slice(0, -1).toReversed()) {
      const whole = await this.#replace(base, older);
      if (whole !== undefined) return whole;
    }
    return base;
  }

  async loadLog(number: number, storeId: Uint8Array | undefined): Promise<LoadedLog> {
    const path = join(this.#directory, logName(number));
    const scan = await scanLog(this.#fs, path, { number, storeId, signal: this.#signal });
    return { number, path, scan };
  }

  async #withoutSnapshot(): Promise<SalvageBase> {
    const [first] = this.#listing.logs;
    const storeId = (await this.#findStoreId()) ?? storeIdOf(undefined);
    const number = Math.max((first ?? 1) - 1, 0);
    const isRead = first !== undefined && number === 0;
    const log = isRead ? await this.loadLog(first, storeId) : undefined;
    const isAncestor = log?.scan.format === 'ancestor';
    const losses: Loss[] = [];
    if (!isAncestor) {
      const reason = 'the snapshot is missing';
      const firstKey = beganEmpty(log) ? undefined : 0n;
      const gap = { reason, fromOffset: 0, toOffset: 0, firstKey, lastKey: undefined };
      losses.push(snapshotLoss(join(this.#directory, snapshotName(number)), gap));
    }
    const format = isAncestor ? 'ancestor' : 'unknown';
    return { columns: [], losses, number, format, storeId, predecessor: undefined, epoch: 0 };
  }

  async #readSnapshot(number: number): Promise<SalvageBase> {
    const state = await readSnapshotState(this.#fs, this.#directory, number);
    if (!('hint' in state)) return this.#readState(state);
    const { path, reason } = state;
    const header = await readSnapshotHeader(this.#fs, path, number);
    const storeId =
      header?.storeId ??
      (await this.#findStoreId()) ??
      this.#claim?.storeId ??
      storeIdOf(undefined);
    const salvaged = await salvageUnindexed(this.#fs, path, number, storeId, reason);
    return {
      columns: salvaged.columns,
      losses: salvaged.losses,
      number,
      format: 'unknown',
      storeId,
      predecessor: header?.predecessor,
      epoch: header?.epoch ?? 0,
    };
  }

  async #readState(state: SnapshotState): Promise<SalvageBase> {
    const { number, path } = state;
    const predecessor = predecessorOf(state);
    const common = { number, storeId: storeIdOf(state), predecessor };
    if (state.format === 'lodestore') {
      const salvaged = await salvageIndexed(this.#fs, path, state.file);
      return { ...salvaged, ...common, format: 'lodestore', epoch: state.file.header.epoch };
    }
    const records = await readAncestorSnapshot(this.#fs, path, this.#signal);
    if (Array.isArray(records)) {
      return { columns: records, losses: [], ...common, format: 'ancestor', epoch: 0 };
    }
    const { reason } = records;
    const toOffset = state.fileBytes;
    const gap = { reason, fromOffset: 0, toOffset, firstKey: 0n, lastKey: undefined };
    const losses = [snapshotLoss(path, gap)];
    return { columns: [], losses, ...common, format: 'ancestor', epoch: 0 };
  }

  #findStoreId(): Promise<Uint8Array | undefined> {
    return findLostStoreId(this.#fs, this.#directory, this.#listing, this.#claim);
  }

  /**
   * Returns the older snapshot in place of the damaged one, if the logs between them are provably
   * complete.
   */
  async #replace(damaged: SalvageBase, older: number): Promise<SalvageBase | undefined> {
    const state = await readSnapshotState(this.#fs, this.#directory, older);
    if ('hint' in state) return undefined;
    const base = await this.#readState(state);
    if (base.losses.length > 0) return undefined;
    const logs: LoadedLog[] = [];
    for (const number of this.#listing.logs) {
      if (number <= older || number > damaged.number) continue;
      logs.push(await this.loadLog(number, base.storeId));
    }
    const verdict = judgeLogs(this.#directory, state, base.storeId, logs);
    const last = verdict.logs.at(-1);
    const reachesUp = last?.number === damaged.number && verdict.damages.length === 0;
    if (!reachesUp || verdict.torn !== undefined) return undefined;
    const isProven =
      last.scan.ending.kind === 'sealed' ||
      (damaged.predecessor !== undefined && isSamePredecessor(verdict.last, damaged.predecessor));
    if (!isProven) return undefined;
    const losses = damaged.losses.map((loss) => ({
      ...loss,
      reason: `${loss.reason}; the snapshot and the logs before it hold the same records`,
      firstKey: undefined,
      lastKey: undefined,
      olderValuesMayShow: false,
    }));
    return { ...base, losses };
  }
}

/**
 * Whether a log proves that the snapshot before it had no records: it is the first log of a store
 * that was created empty. A store that began with records has an id that says so (those of the
 * ancestor), or its sequence numbers do not begin at 1 (those of a salvage).
 */
function beganEmpty(log: LoadedLog | undefined): boolean {
  const header = log?.scan.header;
  if (header?.number !== 1 || isAncestorStoreId(header.storeId)) return false;
  return header.predecessor.lastSequence === 0n;
}
