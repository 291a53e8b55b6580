import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { ThreadPool } from '../../src/threads/thread-pool.ts';
import { NOWHERE } from '../support/nowhere.ts';

/** Nice values of this process's threads, by id. */
function prioritiesOfThreads(): Map<number, number> {
  const ids = readdirSync('/proc/self/task').map(Number);
  return new Map(ids.map((id) => [id, getPriority(id)]));
}

async function prioritiesOfNewThreads(priority: 'normal' | 'low'): Promise<number[]> {
  const before = prioritiesOfThreads();
  const helper = { runner: new InlineRunner(nodeFileSystem), role: 'stand-in' } as const;
  const pool = new ThreadPool(NOWHERE, 1, helper, () => undefined, priority);
  try {
    await pool.run({ kind: 'order-rows', groups: [], chunks: [], layers: [] });
    const now = prioritiesOfThreads();
    return [...now].flatMap(([id, nice]) => (before.has(id) ? [] : [nice]));
  } finally {
    await pool.close();
  }
}

test.runIf(process.platform === 'linux')(
  'a pool of low priority lowers its own thread and no other',
  async () => {
    const own = getPriority(process.pid);
    const before = prioritiesOfThreads();
    expect(await prioritiesOfNewThreads('low')).toContain(Math.max(own, 10));
    const after = prioritiesOfThreads();
    for (const [id, nice] of before) expect(after.get(id) ?? nice).toBe(nice);
  },
);

test.runIf(process.platform === 'linux')(
  'a pool of normal priority runs as the process does',
  async () => {
    const own = getPriority(process.pid);
    for (const nice of await prioritiesOfNewThreads('normal')) expect(nice).toBe(own);
  },
);
