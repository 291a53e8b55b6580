/**
 * A worker thread that locks `workerData.directory`, reports the result to `workerData.port`, and
 * stays.
 */
import { workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { readProcessIdentity } from '../../src/fs/process-identity.ts';

const { directory, port }: { directory: string; port: MessagePort } = workerData;
const options = { onLost: () => undefined };
try {
  await acquireDirectoryLock(nodeFileSystem, directory, await readProcessIdentity(), options);
  port.postMessage('held');
} catch (error) {
  port.postMessage(String(error));
}
// The port keeps the thread alive, and so the lock.
port.on('message', () => undefined);
