/**
 * A process that tries to lock a directory and prints the result, one JSON line each: `{ held:
 * owner }` or `{ refused: message, owner }`, later `{ lost: message }`. A line on its input
 * releases the lock; the end of its input ends the process.
 *
 * Arguments: directory, stale limit in ms.
 */
import { createInterface } from 'node:readline';
import { StoreLockedError } from '../../src/base/errors.ts';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { readProcessIdentity } from '../../src/fs/process-identity.ts';

const [directory = '', staleMs = ''] = process.argv.slice(2);
const say = (line: object): unknown => process.stdout.write(`${JSON.stringify(line)}\n`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
try {
  const lock = await acquireDirectoryLock(nodeFileSystem, directory, await readProcessIdentity(), {
    staleMs: Number(staleMs),
    onLost: (error) => say({ lost: error.message }),
  });
  say({ held: lock.owner });
  if ((await lines.next()).done !== true) {
    await lock.release();
    say({ released: true });
  }
} catch (error) {
  if (!(error instanceof StoreLockedError)) throw error;
  say({ refused: error.message, owner: error.owner });
}
process.stdin.destroy();
