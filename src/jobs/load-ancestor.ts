import { finishInSlices, type Steps } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import { decodeAncestorFrame } from '../format/ancestor.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { rowsOf } from '../log/ancestor-scan.ts';
import { Folder } from '../runs/fold.ts';
import { GroupSlices } from './group-slices.ts';
import type { JobContext, JobDamage } from './job-context.ts';
import type { LoadChunksResult } from './load-chunks.ts';
import { LogRows } from '../runs/log-rows.ts';
import { RunCursor } from '../runs/run-cursor.ts';

/** Reads an ancestor's snapshot, which is one frame. */
export interface LoadAncestorJob {
  readonly kind: 'load-ancestor';
  readonly path: string;
}

export async function loadAncestor(
  fs: FileSystem,
  job: LoadAncestorJob,
  context: Omit<JobContext, 'send'>,
): Promise<LoadChunksResult> {
  const chunks = await readAncestorSnapshot(fs, job.path, context.signal, context.pause);
  return Array.isArray(chunks) ? { kind: 'chunks', chunks } : chunks;
}

/** Reads the records of an ancestor's snapshot, in ascending key order. `pause`: of a job. */
export async function readAncestorSnapshot(
  fs: FileSystem,
  path: string,
  signal: AbortSignal,
  pause?: JobContext['pause'],
): Promise<Columns[] | JobDamage> {
  const file = await fs.open(path, 'r');
  try {
    const { sizeBytes } = await file.stat();
    const bytes = new Uint8Array(sizeBytes);
    const count = await readFully(file, bytes, 0);
    signal.throwIfAborted();
    const frame = decodeAncestorFrame(bytes.subarray(0, count), 0);
    if (frame.kind !== 'frame') {
      const reason = frame.kind === 'end' ? 'the snapshot is empty' : frame.reason;
      return { kind: 'corrupt', path, offset: 0, reason };
    }
    if (frame.lengthBytes !== count) {
      const reason = 'there are bytes after the snapshot';
      return { kind: 'corrupt', path, offset: frame.lengthBytes, reason };
    }
    const collected = new LogRows(undefined, 'shared');
    const slices = new GroupSlices(pause);
    for (const rows of rowsOf(frame.payload)) {
      signal.throwIfAborted();
      if (typeof rows === 'string') return { kind: 'corrupt', path, offset: 0, reason: rows };
      collected.add(rows);
      slices.noteGroup(rows.length);
      if (collected.isCheckDue) await finishInSlices(collected.check(), pause);
      await slices.pauseIfDue();
    }
    const run = await finishInSlices(collected.finishInSteps(), pause);
    return await finishInSlices(withoutDeletes(run), pause);
  } finally {
    await file.close();
  }
}

/**
 * Removes deletes: a snapshot has no older layer, so a delete has no effect and must not be taken
 * for a record. A step passes over one chunk.
 */
function* withoutDeletes(run: Columns[]): Steps<Columns[]> {
  if (run.every((columns) => columns.valueBase !== 0n)) return run;
  const kept: Columns[] = [];
  const folder = new Folder((columns) => kept.push(columns));
  const records = new RunCursor(run);
  while (!records.done) {
    folder.applyChunk(records, undefined);
    yield;
  }
  folder.flush();
  return kept;
}
