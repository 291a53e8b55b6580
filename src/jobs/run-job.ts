import { finishInSlices } from '../base/steps.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { indexRows, type IndexedRows, type IndexRowsJob } from '../replay/index-rows.ts';
import { orderRows, type OrderedRows, type OrderRowsJob } from '../replay/order-rows.ts';
import {
  packRows,
  weighRows,
  type PackedRows,
  type PackRowsJob,
  type WeighedRows,
  type WeighRowsJob,
} from '../replay/pack-rows.ts';
import {
  partitionRows,
  type PartitionedEntries,
  type PartitionRowsJob,
} from '../replay/partition-rows.ts';
import { placeRun, type PlacedRun, type PlaceRunJob } from '../replay/place-run.ts';
import type { JobContext } from './job-context.ts';
import { loadAncestor, type LoadAncestorJob } from './load-ancestor.ts';
import { loadChunks, type LoadChunksJob, type LoadChunksResult } from './load-chunks.ts';
import { loadLog, type LoadLogJob, type LoadLogResult } from './load-log.ts';
import { loadLogPiece, type LoadLogPieceJob, type LoadLogPieceResult } from './load-log-piece.ts';
import { merge, type MergedChunks, type MergeJob, type MergeResult } from './merge.ts';

/** Jobs on rows in memory. */
export type ReplayJob =
  WeighRowsJob | PackRowsJob | PartitionRowsJob | IndexRowsJob | OrderRowsJob | PlaceRunJob;

export type Job =
  LoadLogJob | LoadLogPieceJob | ReplayJob | LoadChunksJob | LoadAncestorJob | MergeJob;

/** The result type of each kind of job. */
export interface JobTypes {
  'load-log': { readonly job: LoadLogJob; readonly result: LoadLogResult };
  'load-log-piece': { readonly job: LoadLogPieceJob; readonly result: LoadLogPieceResult };
  'weigh-rows': { readonly job: WeighRowsJob; readonly result: WeighedRows };
  'pack-rows': { readonly job: PackRowsJob; readonly result: PackedRows };
  'partition-rows': { readonly job: PartitionRowsJob; readonly result: PartitionedEntries };
  'place-run': { readonly job: PlaceRunJob; readonly result: PlacedRun };
  'index-rows': { readonly job: IndexRowsJob; readonly result: IndexedRows };
  'order-rows': { readonly job: OrderRowsJob; readonly result: OrderedRows };
  'load-chunks': { readonly job: LoadChunksJob; readonly result: LoadChunksResult };
  'load-ancestor': { readonly job: LoadAncestorJob; readonly result: LoadChunksResult };
  merge: { readonly job: MergeJob; readonly result: MergeResult };
}

export type JobResult<J extends Job> = JobTypes[J['kind']]['result'];

/** Runs any job to its end on the current thread. */
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
    case 'weigh-rows':
      return finishInSlices(weighRows(job), context.pause);
    case 'pack-rows':
      return finishInSlices(packRows(job), context.pause);
    case 'partition-rows':
      return finishInSlices(partitionRows(job), context.pause);
    case 'place-run':
      return finishInSlices(placeRun(job), context.pause);
    case 'index-rows':
      return finishInSlices(indexRows(job), context.pause);
    case 'order-rows':
      return finishInSlices(orderRows(job), context.pause);
    case 'load-chunks':
      return loadChunks(fs, job, context);
    case 'load-ancestor':
      return loadAncestor(fs, job, context);
    case 'merge':
      return merge(fs, job, context);
  }
}
