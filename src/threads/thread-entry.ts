import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../base/assert.ts';
import { adoptKeyHashSeed } from '../base/key-hash.ts';
import { finishInSlices } from '../base/steps.ts';
import { Directory } from '../fs/directory.ts';
import { nodeFileSystem } from '../fs/node-file-system.ts';
import { lowerPriority } from '../fs/thread-priority.ts';
import { indexRows } from '../replay/index-rows.ts';
import { orderRows } from '../replay/order-rows.ts';
import { placeRun } from '../replay/place-run.ts';
import type { JobContext } from '../jobs/job-context.ts';
import { loadChunks } from '../jobs/load-chunks.ts';
import { loadLogPiece } from '../jobs/load-log-piece.ts';
import { loadLog } from '../jobs/load-log.ts';
import type { MergedChunks } from '../jobs/merge.ts';
import type { Job, JobTypes } from '../jobs/run-job.ts';
import { transferList } from '../jobs/transfer-list.ts';
import {
  toPlainError,
  type FromThread,
  type ThreadSetup,
  type ToThread,
} from './thread-message.ts';

const port = present(parentPort, 'this file is the entry of a worker thread');
const PROGRESS_STEP_BYTES = 4 * 1024 * 1024;

const setup = workerData as ThreadSetup;

if (setup.priority === 'low') lowerPriority();
adoptKeyHashSeed(setup.hashSeed);

/** Opened by the first job. If the thread is terminated, Node closes its descriptors. */
let held: Promise<Directory> | undefined;

/**
 * The thread opens the directory itself, because the store may close its own before the thread has
 * ended.
 */
function holdDirectory(): Promise<Directory> {
  held ??= Directory.share(nodeFileSystem, setup.directory).catch((error: unknown) => {
    held = undefined;
    throw error;
  });
  return held;
}

async function closeDirectory(): Promise<void> {
  const directory = await held?.catch(() => undefined);
  await directory?.close();
}

/** One for each job that has not ended. Jobs run one after the other. */
const given: AbortController[] = [];
let last: Promise<void> = Promise.resolve();

function post(message: FromThread, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

/**
 * Like `runJob`. Code that an open does not need is loaded on demand, so that the thread starts
 * sooner.
 */
async function runHere(
  job: Job,
  context: JobContext<MergedChunks>,
): Promise<JobTypes[Job['kind']]['result']> {
  const fs = await holdDirectory();
  switch (job.kind) {
    case 'index-rows':
      return finishInSlices(indexRows(job), undefined);
    case 'order-rows':
      return finishInSlices(orderRows(job), undefined);
    case 'place-run':
      return finishInSlices(placeRun(job), undefined);
    case 'load-chunks':
      return loadChunks(fs, job, context);
    case 'load-log-piece':
      return loadLogPiece(fs, job, context);
    case 'load-log':
      return loadLog(fs, job, context);
    case 'weigh-rows':
    case 'pack-rows':
    case 'partition-rows':
    case 'load-ancestor':
    case 'merge': {
      const { runJob } = await import('../jobs/run-job.ts');
      return runJob(fs, job, context);
    }
  }
}

async function run(job: Job, signal: AbortSignal): Promise<void> {
  let reportedBytes = 0;
  try {
    const result = await runHere(job, {
      signal,
      mayBlock: true,
      onProgress: (bytesRead) => {
        if (bytesRead - reportedBytes < PROGRESS_STEP_BYTES) return;
        reportedBytes = bytesRead;
        post({ kind: 'progress', bytesRead });
      },
      send: (message, transfer) => post({ kind: 'message', message }, transfer),
    });
    post({ kind: 'result', result }, transferList(result));
  } catch (error) {
    post({ kind: 'failed', error: toPlainError(error) });
  }
}

port.on('message', (message: ToThread) => {
  if (message.kind === 'abort') {
    for (const abort of given) abort.abort();
    return;
  }
  if (message.kind === 'end') {
    // Closing the port lets the thread exit, once everything it has loaded and opened is closed.
    void last.then(closeDirectory).finally(() => port.close());
    return;
  }
  const abort = new AbortController();
  given.push(abort);
  last = last.then(() => run(message.job, abort.signal)).then(() => void given.shift());
});
post({ kind: 'ready' });
