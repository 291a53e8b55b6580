import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../base/assert.ts';
import { nodeFileSystem } from '../fs/node-file-system.ts';
import { lowerPriority, type ThreadPriority } from '../fs/thread-priority.ts';
import { runJob, transferList, type Job } from '../jobs/run-job.ts';
import { toPlainError, type FromThread, type ToThread } from './thread-message.ts';

const port = present(parentPort, 'this file is the entry of a worker thread');
const PROGRESS_STEP_BYTES = 4 * 1024 * 1024;

if ((workerData as ThreadPriority) === 'low') lowerPriority();

let abort = new AbortController();

function post(message: FromThread, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function run(job: Job): Promise<void> {
  let reportedBytes = 0;
  try {
    const result = await runJob(nodeFileSystem, job, {
      signal: abort.signal,
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
    abort.abort();
    return;
  }
  abort = new AbortController();
  void run(message.job);
});
post({ kind: 'ready' });
