/**
 * A process that opens a store on request and prints the result, one JSON line each. Lines on its
 * input: `open DIRECTORY STALE_MS`, `write KEY`, `read`, `close`. The end of its input ends it.
 */
import { createInterface } from 'node:readline';
import { FencedError, MetadataStore, StoreError, StoreLockedError } from '../../src/index.ts';
import type { StoreLine } from './store-process.ts';

const say = (line: StoreLine): unknown => process.stdout.write(`${JSON.stringify(line)}\n`);

let store: MetadataStore | undefined;

async function open(directory: string, staleMs: string): Promise<void> {
  try {
    store = await MetadataStore.open(directory, { leaseStaleMs: Number(staleMs) });
    store.on('poisoned', (error) => {
      say({ poisoned: error instanceof StoreError ? error.code : String(error) });
    });
    say({ opened: process.pid });
  } catch (error) {
    if (!(error instanceof StoreLockedError)) throw error;
    say({ refused: error.message, ownerPid: error.owner.pid ?? -1 });
  }
}

async function write(key: number): Promise<void> {
  try {
    await store?.insertBatch([{ type: 'put', key, value: key + 1 }]);
    say({ acknowledged: key });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const outcome = error.outcome ?? 'none';
    say({ failed: key, code: error.code, outcome, isFenced: error instanceof FencedError });
  }
}

async function obey([command = '', ...rest]: readonly string[]): Promise<void> {
  if (command === 'open') await open(rest[0] ?? '', rest[1] ?? '');
  else if (command === 'write') await write(Number(rest[0]));
  else if (command === 'read') say({ keys: [...(store?.keys() ?? [])].map(Number) });
  else {
    await store?.close();
    say({ closed: true });
  }
}

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) await obey(line.split('\t'));
