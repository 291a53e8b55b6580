import { monotonicMs } from '../../base/timers.ts';
import { nextEpoch, type Predecessor } from '../../format/file-header.ts';
import type { LogIdentity } from '../../log/log-writer.ts';
import { Table } from '../../table/table.ts';
import type { Retention } from '../changes/retained-logs.ts';
import type { ClosedLog } from '../commit/log-keeper.ts';
import type { CurrentSnapshot } from '../merge/snapshot-keeper.ts';
import type { RecoveryReport } from '../recovery/recovery-report.ts';
import { recoveredColumns, type RecoveredState } from '../recovery/recovery.ts';
import type { ReadDirectory } from './directory-reading.ts';

/** A store as recovery has left it in memory and on disk. */
export interface RecoveredStore {
  readonly state: RecoveredState;
  readonly table: Table;
  /** Of the files that this store will write. */
  readonly identity: LogIdentity;
  readonly logs: RecoveredLogs;
  readonly snapshot: CurrentSnapshot | undefined;
  readonly retention: Retention;
  readonly report: RecoveryReport;
}

export interface RecoveredLogs {
  readonly closed: readonly ClosedLog[];
  readonly last: Predecessor;
}

/** What the open did after the directory was read. */
export interface OpeningFacts {
  readonly retention: Retention;
  /** Names of leftovers. */
  readonly removed: readonly string[];
  readonly threads: number;
  /** By the monotonic clock. */
  readonly startMs: number;
}

/** Makes the table, and collects what the parts of the store start from. */
export function recoveredStore(
  { state, moved, losses }: ReadDirectory,
  { retention, removed, threads, startMs }: OpeningFacts,
): RecoveredStore {
  const { storeId, verdict } = state;
  const table = tableOf(state);
  return {
    state,
    table,
    identity: { storeId, epoch: nextEpoch(verdict.highestEpoch) },
    logs: recoveredLogs(state),
    snapshot: currentSnapshot(state),
    retention,
    report: recoveryReport(state, {
      removed: [...removed],
      moved: [...moved],
      losses: [...losses],
      threads,
      milliseconds: monotonicMs() - startMs,
    }),
  };
}

function recoveredLogs({ verdict }: RecoveredState): RecoveredLogs {
  const { last, tail, logs } = verdict;
  const closed = logs
    .filter((log) => log.scan.frameCount > 0)
    .map(({ number, path, scan }) => ({
      number,
      path,
      lengthBytes: scan.validBytes,
      // The repair has truncated what followed the last group.
      fileBytes: tail?.path === path ? scan.validBytes : scan.fileBytes,
      lastSequence: scan.lastSequence,
    }));
  return { last, closed };
}

/** Only what a job may be sent. */
function currentSnapshot({ snapshot }: RecoveredState): CurrentSnapshot | undefined {
  if (snapshot === undefined) return undefined;
  const { path, number, format, fileBytes } = snapshot;
  return { path, number, format, fileBytes };
}

/** What the report says beside what was found. */
type OpeningReport = Pick<
  RecoveryReport,
  'removed' | 'moved' | 'losses' | 'threads' | 'milliseconds'
>;

/** The table that adopts what was read. */
export function tableOf(recovered: RecoveredState): Table {
  return new Table({ ...recoveredColumns(recovered), contentHash: knownContent(recovered) });
}

/** The snapshot's content hash is that of all records when no log has been folded into it. */
function knownContent({ snapshot, verdict }: RecoveredState): bigint | undefined {
  const isFolded = verdict.logs.some((log) => log.scan.recordCount > 0);
  if (isFolded || snapshot?.format !== 'lodestore') return undefined;
  return snapshot.file.index.totals.contentHash;
}

function recoveryReport(recovered: RecoveredState, opening: OpeningReport): RecoveryReport {
  const { verdict, snapshot, recordCount, listing } = recovered;
  const sum = (of: (scan: (typeof verdict.logs)[number]['scan']) => number): number =>
    verdict.logs.reduce((total, log) => total + of(log.scan), 0);
  return {
    snapshot: snapshot && {
      number: snapshot.number,
      format: snapshot.format,
      bytes: snapshot.fileBytes,
      records: snapshot.format === 'lodestore' ? snapshot.file.index.totals.recordCount : undefined,
    },
    logs: verdict.logs.length,
    logBytes: sum((scan) => scan.validBytes),
    batches: sum((scan) => scan.batchCount),
    updates: sum((scan) => scan.recordCount),
    records: recordCount,
    lastSequence: verdict.last.lastSequence,
    tornTail: verdict.torn,
    foreignNames: listing.foreign,
    ...opening,
  };
}
