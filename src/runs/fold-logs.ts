import { finishInSlices } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import { foldInSteps } from './fold.ts';

/** Folds the runs of several logs into one. */
export interface FoldLogsJob {
  readonly kind: 'fold-logs';
  /** One run per log, oldest first. */
  readonly runs: readonly (readonly Columns[])[];
}

export interface FoldLogsResult {
  readonly run: Columns[];
}

/** `pause` gives way to other work of the thread, where there is any. */
export async function foldLogs(
  job: FoldLogsJob,
  pause?: () => Promise<void>,
): Promise<FoldLogsResult> {
  return { run: await finishInSlices(foldInSteps(job.runs), pause) };
}
