import type { Job, JobTypes } from './run-job.ts';

/** Buffers of a result that can be handed over instead of copied. */
export function transferList(result: JobTypes[Job['kind']]['result']): ArrayBuffer[] {
  if ('run' in result) return result.run.map((columns) => columns.data.buffer as ArrayBuffer);
  if (result.kind !== 'chunks') return [];
  return result.chunks.map((columns) => columns.data.buffer as ArrayBuffer);
}
