import type { FileSystem } from '../fs/file-system.ts';
import type { JobContext } from './job-context.ts';
import { loadAncestor, type LoadAncestorJob } from './load-ancestor.ts';
import { loadChunks, type LoadChunksJob, type LoadChunksResult } from './load-chunks.ts';
import { loadLog, type LoadLogJob, type LoadLogResult } from './load-log.ts';
import { loadLogPiece, type LoadLogPieceJob, type LoadLogPieceResult } from './load-log-piece.ts';
import { foldLogs, type FoldLogsJob, type FoldLogsResult } from '../runs/fold-logs.ts';
import { merge, type MergedChunks, type MergeJob, type MergeResult } from './merge.ts';

export type Job =
  LoadLogJob | LoadLogPieceJob | FoldLogsJob | LoadChunksJob | LoadAncestorJob | MergeJob;

/** What each kind of job resolves to, and what it hands over while it runs. */
export interface JobTypes {
  'load-log': { readonly job: LoadLogJob; readonly result: LoadLogResult };
  'load-log-piece': { readonly job: LoadLogPieceJob; readonly result: LoadLogPieceResult };
  'fold-logs': { readonly job: FoldLogsJob; readonly result: FoldLogsResult };
  'load-chunks': { readonly job: LoadChunksJob; readonly result: LoadChunksResult };
  'load-ancestor': { readonly job: LoadAncestorJob; readonly result: LoadChunksResult };
  merge: { readonly job: MergeJob; readonly result: MergeResult };
}

export type JobResult<J extends Job> = JobTypes[J['kind']]['result'];

/** Runs any job to its end, on whichever thread this is. */
export async function runJob(
  fs: FileSystem,
  job: Job,
  context: JobContext<MergedChunks>,
): Promise<JobTypes[Job['kind']]['result']> {
  switch (job.kind) {
    case 'load-log':
      return loadLog(fs, job, context);
    case 'load-log-piece':
      return loadLogPiece(fs, job, context);
    case 'fold-logs':
      return foldLogs(job, context.pause);
    case 'load-chunks':
      return loadChunks(fs, job, context);
    case 'load-ancestor':
      return loadAncestor(fs, job, context);
    case 'merge':
      return merge(fs, job, context);
  }
}
