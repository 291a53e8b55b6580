import { StoreFullError } from '../../base/errors.ts';
import type { Table } from '../../table/table.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { SnapshotKeeper } from './snapshot-keeper.ts';

/**
 * With more logs than this, a merge is due regardless of their size, because each log is a file to
 * read at the next open.
 */
export const MAX_LOGS = 64;
const DEFAULT_LOG_LIMIT_BYTES: number = 1024 * 1024 * 1024;
/** If space is scarce, a merge is due at this size of the logs, or at an eighth of the snapshot. */
const SCARCE_MERGE_BYTES: number = 64 * 1024;
/**
 * A merge is due by memory if it frees more than this multiple of `mergeBytes`. Rows with
 * compressible data take about that much more memory than log space.
 */
const MEMORY_PER_MERGE_BYTE = 4;
/**
 * A merge is due if reads have passed over more deletes than this, and over one for so many bytes
 * of snapshot and logs: by then reads have lost about the time that the merge takes.
 */
const LEAST_PASSED_DELETES = 1_000_000;
const BYTES_PER_PASSED_DELETE = 16;
/** Writes slow down when dead rows take this multiple of the bytes that make a merge due. */
const MEMORY_LIMIT_FACTOR = 4;
/** A group from a shared log has at most 64 MiB of rows. */
const ROOM_FOR_GROUPS_BYTES: number = 128 * 1024 * 1024;
/** Rows that one merge and the writes during it may need. */
const ROOM_FOR_MERGE_BYTES: number = 2 ** 31;

/** Write delay at twice the limit of the backlog. It grows linearly from 0 at the limit. */
const DELAY_AT_TWICE_MS = 100;
const MAX_DELAY_MS = 1_000;

export interface MergeDueParts {
  readonly logs: LogKeeper;
  readonly table: Table;
  readonly space: SpaceKeeper;
  readonly snapshots: SnapshotKeeper;
  readonly mergeBytes: number;
  readonly logLimitBytes: number | undefined;
}

/** How far merges are behind. `full`: the table cannot take another group. */
export interface Backlog {
  /** 0 up to the limit, 1 at twice the limit. */
  readonly excess: number;
  readonly cause: 'logs' | 'memory' | 'full';
  readonly limitBytes: number;
}

/**
 * Decides when a merge is worth its cost, and how far writes may run ahead of it. A merge copies
 * live data, so it is due when it replaces at least as much: of log bytes, or of memory in dead
 * rows and shadowed records. It is also due when reads have lost as much time at deletes.
 */
export class MergeDue {
  readonly #parts: MergeDueParts;

  constructor(parts: MergeDueParts) {
    this.#parts = parts;
  }

  get isDue(): boolean {
    const { logs, mergeBytes, table, snapshots } = this.#parts;
    // Beyond the limit writes are slowed down, so a merge is due before that.
    const wantedBytes = Math.max(mergeBytes, snapshots.fileBytes);
    const limitBytes = this.#logLimitBytes;
    const dueBytes = Math.min(wantedBytes, limitBytes, this.#scarceBytes);
    return (
      logs.totalBytes > dueBytes ||
      logs.logCount > MAX_LOGS ||
      !table.hasRoomFor(ROOM_FOR_MERGE_BYTES) ||
      isDueByMemory(table.mergeEffect, mergeBytes) ||
      this.#isDueByReads
    );
  }

  get #isDueByReads(): boolean {
    const { logs, snapshots, table } = this.#parts;
    const mergedBytes = snapshots.fileBytes + logs.totalBytes;
    const dueDeletes = Math.max(LEAST_PASSED_DELETES, mergedBytes / BYTES_PER_PASSED_DELETE);
    return table.passedDeletes > dueDeletes;
  }

  /** Whether a write may be delayed or rejected. A cheap check before each group. */
  get mayHaveBacklog(): boolean {
    const { logs, logLimitBytes, table } = this.#parts;
    return (
      logs.totalBytes > (logLimitBytes ?? DEFAULT_LOG_LIMIT_BYTES) ||
      table.deadBytes > MEMORY_LIMIT_FACTOR * this.#leastMemoryBytes ||
      !table.hasRoomFor(ROOM_FOR_GROUPS_BYTES)
    );
  }

  /** Undefined while writes are within all limits. */
  get #backlog(): Backlog | undefined {
    const { logs, table } = this.#parts;
    if (!table.hasRoomFor(ROOM_FOR_GROUPS_BYTES)) {
      return { excess: Infinity, cause: 'full', limitBytes: table.liveBytes };
    }
    const logLimitBytes = this.#logLimitBytes;
    const { leftBytes } = table.mergeEffect;
    const memoryLimitBytes = MEMORY_LIMIT_FACTOR * Math.max(this.#leastMemoryBytes, leftBytes);
    const logExcess = logs.totalBytes / logLimitBytes - 1;
    const memoryExcess = table.deadBytes / memoryLimitBytes - 1;
    if (logExcess <= 0 && memoryExcess <= 0) return undefined;
    return logExcess >= memoryExcess
      ? { excess: logExcess, cause: 'logs', limitBytes: logLimitBytes }
      : { excess: memoryExcess, cause: 'memory', limitBytes: memoryLimitBytes };
  }

  /**
   * The delay of a write in milliseconds, or the error that rejects it: beyond the limit writes are
   * slowed down, beyond twice the limit they are rejected. Dead rows may accumulate faster than the
   * fastest merge frees them, so while a merge runs, writes are only delayed.
   */
  verdict(merges: {
    readonly isMerging: boolean;
    /** Why the last merge failed. */
    readonly lastError: Error | undefined;
  }): number | StoreFullError | undefined {
    const backlog = this.#backlog;
    if (backlog === undefined) return undefined;
    const { excess, cause } = backlog;
    const isHelpComing = cause === 'memory' && merges.isMerging;
    if (excess > 1 && !isHelpComing) {
      return backlogError(backlog, merges.lastError, this.#parts.snapshots.directoryPath);
    }
    return Math.min(Math.ceil(DELAY_AT_TWICE_MS * excess), MAX_DELAY_MS);
  }

  get #leastMemoryBytes(): number {
    return leastMemoryBytes(this.#parts.mergeBytes);
  }

  get #logLimitBytes(): number {
    const { logLimitBytes, snapshots } = this.#parts;
    return logLimitBytes ?? Math.max(DEFAULT_LOG_LIMIT_BYTES, 8 * snapshots.fileBytes);
  }

  /** If space is scarce, a merge is worth copying the snapshot from this size of the logs on. */
  get #scarceBytes(): number {
    if (!this.#parts.space.isScarce) return Infinity;
    return Math.max(SCARCE_MERGE_BYTES, this.#parts.snapshots.fileBytes / 8);
  }
}

/** A merge copies everything that it does not free, so it must free at least as much. */
export function isDueByMemory(
  { freedBytes, leftBytes }: { readonly freedBytes: number; readonly leftBytes: number },
  mergeBytes: number,
): boolean {
  return freedBytes > Math.max(leastMemoryBytes(mergeBytes), leftBytes);
}

function leastMemoryBytes(mergeBytes: number): number {
  return MEMORY_PER_MERGE_BYTE * mergeBytes;
}

/** The error of a write beyond twice a limit. `lastError`: why merges do not complete. */
function backlogError(
  { cause, limitBytes }: Backlog,
  lastError: Error | undefined,
  directory: string,
): StoreFullError {
  const what = {
    logs: `the logs have reached their limit of ${2 * limitBytes} bytes`,
    memory: `replaced rows have reached their limit of ${2 * limitBytes} bytes of memory`,
    full: `updates take ${limitBytes} bytes of memory, and more cannot be addressed,`,
  }[cause];
  const fields = { cause: lastError, outcome: 'not-applied' as const, path: directory };
  return new StoreFullError(`${what} because merges do not complete`, fields);
}
