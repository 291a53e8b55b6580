import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll } from 'vitest';

/** Far more than a file leaves that closes its large stores. */
const LIMIT_BYTES = 256 * 1024 * 1024;

const heldBytes = (): number => process.memoryUsage().arrayBuffers;
const before = heldBytes();

/** The next files of the process would have so much less memory. */
afterAll(async () => {
  if (heldBytes() - before < LIMIT_BYTES) return;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const leftBytes = heldBytes() - before;
  if (leftBytes >= LIMIT_BYTES)
    throw new Error(`this file leaves ${leftBytes} bytes in memory: stores that are not closed?`);
});
