import { execFile } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { makeMemoryGroup } from '../support/memory-group.ts';
import { flipByte, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const MIB = 1024 * 1024;
const CHILD = programPath('memory-child');
const KEYS = 500;
const DATA_BYTES: number = 16 * 1024;
/** Bytes of rows in the logs. 8 MiB of them are live. */
const LOGGED_BYTES: number = 512 * MIB;
const SESSIONS = 2;
/** Limit in addition to an idle process. */
const BOUND_BYTES: number = 320 * MIB;

interface Outcome {
  readonly result: unknown;
  readonly highestBytes: number;
}

async function runChild(
  what: string,
  directory: string,
  prefix: readonly string[],
): Promise<Outcome> {
  const node = ['--max-old-space-size=64', CHILD, what, directory];
  const [file, ...args] = [...prefix, process.execPath, ...node];
  const { stdout } = await promisify(execFile)(file!, args);
  return JSON.parse(stdout) as Outcome;
}

/**
 * A closed store whose keys were overwritten in turn, with data that compress to almost nothing.
 */
async function hotStore(): Promise<string> {
  const directory = join(await temporaryDirectory(), 's');
  const perBatch = (4 * MIB) / DATA_BYTES;
  let serial = 0;
  for (let session = 0; session < SESSIONS; session++) {
    const options = { mergeBytes: 2 ** 40, durability: { syncEveryMs: 1_000 } };
    const store = await MetadataStore.open(directory, options);
    for (let left = LOGGED_BYTES / SESSIONS; left > 0; left -= perBatch * DATA_BYTES) {
      const batch = new WriteBatch();
      for (let i = 0; i < perBatch; i++, serial++) {
        batch.put(serial % KEYS, serial + 1, Buffer.alloc(DATA_BYTES, `${serial % 100}`));
      }
      await store.insertBatch(batch);
    }
    await store.close();
  }
  return directory;
}

test.skipIf(process.platform !== 'linux')(
  'logs of hot keys are replayed in memory for live rows, in a control group of 448 MiB if available',
  async (context) => {
    const group = makeMemoryGroup(448 * MIB);
    if (typeof group === 'string') await context.annotate(`without a group: ${group}`);
    const prefix = typeof group === 'string' ? [] : group.prefix;
    try {
      const directory = await hotStore();
      const idle = await runChild('nothing', directory, prefix);
      const damaged = join(await temporaryDirectory(), 's');
      await cp(directory, damaged, { recursive: true });
      await flipByte(damaged, (await namesIn(damaged, 'log_'))[0]!, 5_000);
      for (const [what, where, expected] of [
        ['open', directory, KEYS],
        ['verify', directory, 0],
        ['salvage', damaged, 1],
        ['merge', directory, 0],
      ] as const) {
        const { result, highestBytes } = await runChild(what, where, prefix);
        expect([what, result]).toEqual([what, expected]);
        expect(highestBytes - idle.highestBytes, what).toBeLessThan(BOUND_BYTES);
      }
    } finally {
      if (typeof group !== 'string') await group.remove();
    }
  },
  300_000,
);
