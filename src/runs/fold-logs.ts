import type { Columns } from '../format/columns.ts';
import { foldRuns } from './fold.ts';

/** Folds the runs of several logs into one. */
export interface FoldLogsJob {
  readonly kind: 'fold-logs';
  /** One run per log, oldest first. */
  readonly runs: readonly (readonly Columns[])[];
}

export interface FoldLogsResult {
  readonly run: Columns[];
}

export function foldLogs(job: FoldLogsJob): FoldLogsResult {
  return { run: foldRuns(job.runs) };
}
