/**
 * A worker thread that opens the store in `workerData.directory`, reports the result, and stays.
 */
import { workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { MetadataStore } from '../../src/index.ts';

const { directory, port }: { directory: string; port: MessagePort } = workerData;
try {
  const store = await MetadataStore.open(directory);
  await store.insertBatch([{ type: 'put', key: 1, value: 2 }]);
  port.postMessage('opened');
} catch (error) {
  port.postMessage(String(error));
}
// Keeps the thread alive, and so the store open.
port.on('message', () => undefined);
