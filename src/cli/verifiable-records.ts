import type { Columns } from '../format/columns.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { Folder, foldRuns } from '../jobs/fold.ts';
import { loadLog } from '../jobs/load-log.ts';
import { readAncestorSnapshot } from '../jobs/load-ancestor.ts';
import { RunCursor } from '../jobs/run-cursor.ts';
import type { Loss } from '../store/recovery-report.ts';
import { lossOf, salvageLog } from '../store/salvage-log.ts';
import { salvageIndexed, salvageUnindexed } from '../store/salvage-snapshot.ts';
import type { SnapshotSurvey } from './snapshot-survey.ts';
import type { Survey } from './survey.ts';

/** Records that verify in a damaged directory, ascending, and what is left out. */
export interface VerifiableRecords {
  readonly columns: readonly Columns[];
  readonly losses: readonly Loss[];
}

/** Reads what salvage would keep. Nothing is written. */
export async function readVerifiable(
  fs: FileSystem,
  survey: Survey,
  signal: AbortSignal,
): Promise<VerifiableRecords> {
  const storeId = survey.storeId ?? new Uint8Array(16);
  const newest = survey.snapshots.at(-1);
  const base = newest === undefined ? NONE : await readBase(fs, newest, storeId, signal);
  const losses = [...base.losses];
  const runs: (readonly Columns[])[] = [];
  let sequence = newest?.header?.predecessor.lastSequence ?? 0n;
  const unread = new Set(survey.refusals.map((refusal) => refusal.path));
  for (const { number, path } of survey.logs) {
    if (number <= (newest?.number ?? -1) || unread.has(path)) continue;
    const job = { kind: 'load-log' as const, path, number, storeId };
    const loaded = await loadLog(fs, job, { signal, onProgress: () => undefined });
    const before = loaded.scan.header?.predecessor.lastSequence ?? 0n;
    const expected = before > sequence ? before : sequence;
    const log = await salvageLog(fs, { number, path, ...loaded }, storeId, expected);
    runs.push(log.run);
    losses.push(...log.losses);
    if (log.lastSequence > sequence) sequence = log.lastSequence;
  }
  return { columns: fold(base.columns, foldRuns(runs)), losses };
}

const NONE: VerifiableRecords = { columns: [], losses: [] };

async function readBase(
  fs: FileSystem,
  newest: SnapshotSurvey,
  storeId: Uint8Array,
  signal: AbortSignal,
): Promise<VerifiableRecords> {
  const { path, number, state } = newest;
  const reason = newest.damages[0]?.reason ?? 'the snapshot does not verify';
  if (newest.refusal !== undefined) {
    return {
      columns: [],
      losses: [lossOf(path, newest.refusal.message, 0, 0, undefined, undefined)],
    };
  }
  if (state === undefined) return salvageUnindexed(fs, path, number, storeId, reason);
  if (state.format === 'lodestore') return salvageIndexed(fs, path, state.file);
  const records = await readAncestorSnapshot(fs, path, signal);
  if (Array.isArray(records)) return { columns: records, losses: [] };
  const loss = lossOf(path, records.reason, 0, state.fileBytes, undefined, undefined);
  return { columns: [], losses: [loss] };
}

function fold(records: readonly Columns[], updates: readonly Columns[]): Columns[] {
  const folded: Columns[] = [];
  const folder = new Folder((columns) => folded.push(columns));
  folder.apply(new RunCursor(records), new RunCursor(updates), undefined);
  folder.flush();
  return folded;
}
