import { Table } from '../../table/table.ts';
import type { RecoveryReport } from '../recovery/recovery-report.ts';
import { recoveredColumns, type RecoveredState } from '../recovery/recovery.ts';

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

export function recoveryReport(recovered: RecoveredState, opening: OpeningReport): RecoveryReport {
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
