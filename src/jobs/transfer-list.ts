import { buffersOf } from '../runs/column-buffers.ts';
import type { Job, JobTypes } from './run-job.ts';

/** The buffers of a result that are transferred instead of copied. */
export function transferList(result: JobTypes[Job['kind']]['result']): ArrayBuffer[] {
  if (!('kind' in result)) return [];
  if (result.kind === 'no-room') return buffersOf(result.run);
  return result.kind === 'chunks' ? buffersOf(result.chunks) : [];
}
