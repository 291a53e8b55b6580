/**
 * A process that writes concurrent batches into a store until it is killed. Prints one line each:
 * `open <highest batch> <ok|reason>` and `ack <batch>`. Batch n puts the keys 8 n to 8 n + 7 with
 * value n + 1, and deletes those of batch n - DELETED_BEHIND.
 *
 * Arguments: directory, batches in flight, options of the store as JSON.
 */
import { writeSync } from 'node:fs';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { batchesIn, DELETED_BEHIND, KEYS_PER_BATCH } from './kill-batches.ts';

const [directory = '', inFlight = '', options = '{}'] = process.argv.slice(2);
// Written synchronously: the line is out even if the process is killed right after.
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      // The pipe is full: wait for its reader.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

const store = await MetadataStore.open(directory, JSON.parse(options) as object);
const found = batchesIn(store);
say(`open ${found.highest} ${found.problem ?? 'ok'}`);

let next = found.highest + 1;

function batch(number: number): WriteBatch {
  const updates = new WriteBatch();
  for (let i = 0; i < KEYS_PER_BATCH; i++) {
    const data = Buffer.alloc((number * 31 + i * 7) % 200, `${number}`);
    updates.put(number * KEYS_PER_BATCH + i, number + 1, data);
    const old = number - DELETED_BEHIND;
    if (old >= 0) updates.delete(old * KEYS_PER_BATCH + i);
  }
  return updates;
}

async function write(): Promise<void> {
  for (;;) {
    const number = next++;
    await store.insertBatch(batch(number));
    say(`ack ${number}`);
  }
}

await Promise.all(Array.from({ length: Number(inFlight) }, write));
