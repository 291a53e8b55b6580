import { StoreFullError } from '../../base/errors.ts';
import type { Table } from '../../table/table.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';

/**
 * More logs than this make a merge due, however small they are: each costs a file at the next open.
 */
export const MAX_LOGS = 64;
const DEFAULT_LOG_LIMIT_BYTES: number = 1024 * 1024 * 1024;
/** Where space is scarce, a merge is due from this on, or from an eighth of the snapshot. */
const SCARCE_MERGE_BYTES: number = 64 * 1024;
/**
 * A merge is due by memory when it frees more than so many times `mergeBytes`. Rows are that much
 * longer in memory than in the log where their data compress well.
 */
const MEMORY_PER_MERGE_BYTE = 4;
/** Writes slow down when dead rows take this many times the bytes that make a merge due. */
const MEMORY_LIMIT_FACTOR = 4;
/** A group is at most 64 MiB of rows. */
const ROOM_FOR_GROUPS_BYTES: number = 128 * 1024 * 1024;
/** Rows that one merge and the writes beside it may need. */
const ROOM_FOR_MERGE_BYTES: number = 2 ** 31;

/** At the limit of what waits for a merge writes are not held up, at twice the limit by this. */
const DELAY_AT_TWICE_MS = 100;
const MAX_DELAY_MS = 1_000;

export interface MergeDueParts {
  readonly logs: LogKeeper;
  readonly table: Table;
  readonly space: SpaceKeeper;
  readonly mergeBytes: number;
  readonly logLimitBytes: number | undefined;
}

/** How far merges are behind. `full`: the table can take no further group. */
export interface Backlog {
  /** 0 up to the limit, 1 at twice the limit. */
  readonly excess: number;
  readonly cause: 'logs' | 'memory' | 'full';
  readonly limitBytes: number;
}

/**
 * When a merge is worth its cost, and how far writes may run ahead of it. A merge copies what
 * lives, so it is due when it replaces at least as much: of log bytes, or of memory in dead rows
 * and shadowed records.
 */
export class MergeDue {
  readonly #parts: MergeDueParts;

  constructor(parts: MergeDueParts) {
    this.#parts = parts;
  }

  /** `snapshotBytes`: length of the newest snapshot. */
  isDue(snapshotBytes: number): boolean {
    const { logs, mergeBytes, table } = this.#parts;
    // Past the limit writes are slowed down: what can help is tried before.
    const wantedBytes = Math.max(mergeBytes, snapshotBytes);
    const limitBytes = this.#logLimitBytes(snapshotBytes);
    const dueBytes = Math.min(wantedBytes, limitBytes, this.#scarceBytes(snapshotBytes));
    return (
      logs.totalBytes > dueBytes ||
      logs.logCount > MAX_LOGS ||
      !table.hasRoomFor(ROOM_FOR_MERGE_BYTES) ||
      isDueByMemory(table.mergeEffect, mergeBytes)
    );
  }

  /** Whether {@link backlog} may say anything; asked before each group, since it costs nothing. */
  get mayHaveBacklog(): boolean {
    const { logs, logLimitBytes, table } = this.#parts;
    return (
      logs.totalBytes > (logLimitBytes ?? DEFAULT_LOG_LIMIT_BYTES) ||
      table.deadBytes > MEMORY_LIMIT_FACTOR * this.#leastMemoryBytes ||
      !table.hasRoomFor(ROOM_FOR_GROUPS_BYTES)
    );
  }

  /** Undefined while writes are within all limits. */
  backlog(snapshotBytes: number): Backlog | undefined {
    const { logs, table } = this.#parts;
    if (!table.hasRoomFor(ROOM_FOR_GROUPS_BYTES)) {
      return { excess: Infinity, cause: 'full', limitBytes: table.liveBytes };
    }
    const logLimitBytes = this.#logLimitBytes(snapshotBytes);
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
   * Milliseconds that a write is to wait, or the error that it is rejected with: past the limit
   * writes are slowed down, past twice the limit they are rejected. Dead rows may gather faster
   * than the fastest merge frees them: while one runs, writes only wait for it.
   */
  verdict(
    snapshotBytes: number,
    merges: {
      readonly isMerging: boolean;
      /** Why the last merge failed. */
      readonly lastError: Error | undefined;
      readonly directory: string;
    },
  ): number | StoreFullError | undefined {
    const backlog = this.backlog(snapshotBytes);
    if (backlog === undefined) return undefined;
    const { excess, cause } = backlog;
    const isHelpComing = cause === 'memory' && merges.isMerging;
    if (excess > 1 && !isHelpComing) {
      return backlogError(backlog, merges.lastError, merges.directory);
    }
    return Math.min(Math.ceil(DELAY_AT_TWICE_MS * excess), MAX_DELAY_MS);
  }

  get #leastMemoryBytes(): number {
    return leastMemoryBytes(this.#parts.mergeBytes);
  }

  #logLimitBytes(snapshotBytes: number): number {
    return this.#parts.logLimitBytes ?? Math.max(DEFAULT_LOG_LIMIT_BYTES, 8 * snapshotBytes);
  }

  /** Past this, a merge is worth its copying where space is scarce. */
  #scarceBytes(snapshotBytes: number): number {
    if (!this.#parts.space.isScarce) return Infinity;
    return Math.max(SCARCE_MERGE_BYTES, snapshotBytes / 8);
  }
}

/** What a merge leaves it has to copy, so it must free as much. */
export function isDueByMemory(
  { freedBytes, leftBytes }: { readonly freedBytes: number; readonly leftBytes: number },
  mergeBytes: number,
): boolean {
  return freedBytes > Math.max(leastMemoryBytes(mergeBytes), leftBytes);
}

function leastMemoryBytes(mergeBytes: number): number {
  return MEMORY_PER_MERGE_BYTE * mergeBytes;
}

/** The error of a write past twice a limit. `lastError`: why merges do not complete. */
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
