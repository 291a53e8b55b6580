import { existsSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { StoreLockedError } from '../../src/base/errors.ts';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import type { DirectoryLock } from '../../src/directory/directory-lock.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { readProcessIdentity } from '../../src/fs/process-identity.ts';
import { deferred } from '../support/deferred.ts';
import { LockProcess } from '../support/lock-process.ts';
import { programPath } from '../support/program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const identity = await readProcessIdentity();

/** Longer than any test can wait. */
const HUGE_STALE_MS = 3_600_000;
const SHORT_STALE_MS = 2_000;

function acquire(directory: string): Promise<DirectoryLock> {
  const options = { staleMs: HUGE_STALE_MS, onLost: () => undefined };
  return acquireDirectoryLock(nodeFileSystem, directory, identity, options);
}

async function startHolder(directory: string, staleMs = HUGE_STALE_MS): Promise<LockProcess> {
  const holder = new LockProcess(directory, staleMs);
  expect((await holder.next()).held?.pid).toBe(holder.child.pid);
  return holder;
}

interface LockThread {
  readonly said: string;
  terminate(): Promise<unknown>;
}

async function startThread(directory: string): Promise<LockThread> {
  const { port1, port2 } = new MessageChannel();
  const said = deferred<string>();
  port1.once('message', said.resolve);
  const worker = new Worker(programPath('lock-thread'), {
    workerData: { directory, port: port2 },
    transferList: [port2],
  });
  onTestFinished(async () => {
    await worker.terminate();
    port1.close();
  });
  return { said: await said.promise, terminate: () => worker.terminate() };
}

test('another process is refused and told the owner, until the release', async () => {
  const directory = await temporaryDirectory();
  const lock = await acquire(directory);
  const refused = await new LockProcess(directory, HUGE_STALE_MS).next();
  expect(refused.owner?.pid).toBe(process.pid);
  expect(refused.refused).toContain(`is open in process ${process.pid} on host`);
  await lock.release();
  const holder = await startHolder(directory);
  await expect(acquire(directory)).rejects.toMatchObject({ owner: { pid: holder.child.pid } });
  await holder.release();
  await (await acquire(directory)).release();
});

test('a thread is refused like a process', async () => {
  const directory = await temporaryDirectory();
  const lock = await acquire(directory);
  expect((await startThread(directory)).said).toContain(`this process (${process.pid})`);
  await lock.release();
});

test('a terminated thread leaves the directory free', async () => {
  const directory = await temporaryDirectory();
  const thread = await startThread(directory);
  expect(thread.said).toBe('held');
  await expect(acquire(directory)).rejects.toThrow(StoreLockedError);
  await thread.terminate();
  await (await acquire(directory)).release();
});

test('after SIGKILL of the owner, the directory is free at once, whatever the stale limit', async () => {
  const directory = await temporaryDirectory();
  for (let round = 0; round < 3; round++) {
    const holder = await startHolder(directory);
    await holder.signal('SIGKILL');
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(true);
    const lock = await acquire(directory);
    await lock.release();
  }
});

test('an owner that exits removes its lease; one ended by a signal leaves it', async () => {
  const directory = await temporaryDirectory();
  for (const end of ['SIGTERM', 'input'] as const) {
    const holder = await startHolder(directory);
    await (end === 'input' ? holder.end() : holder.signal(end));
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(end === 'SIGTERM');
    // In both cases, nobody on this machine has to wait.
    await (await acquire(directory)).release();
  }
});

test('a stopped owner keeps the directory', async () => {
  const directory = await temporaryDirectory();
  const holder = await startHolder(directory, SHORT_STALE_MS);
  holder.child.kill('SIGSTOP');
  // Even without the lease, as after a long stop: the kernel lock decides on one machine.
  rmdirSync(join(directory, 'lodestore.lease'));
  await expect(acquire(directory)).rejects.toMatchObject({ owner: { pid: holder.child.pid } });
  holder.child.kill('SIGCONT');
  expect((await holder.next()).lost).toContain(directory);
  await holder.release();
  await (await acquire(directory)).release();
});

test('exactly one of twenty processes that race for a directory wins', async () => {
  const directory = await temporaryDirectory();
  const racers = Array.from({ length: 20 }, () => new LockProcess(directory, HUGE_STALE_MS));
  const lines = await Promise.all(racers.map((racer) => racer.next()));
  const winners = lines.filter((line) => line.held !== undefined);
  const losers = lines.filter((line) => line.refused !== undefined);
  expect(winners).toHaveLength(1);
  expect(losers).toHaveLength(19);
  await expect(acquire(directory)).rejects.toMatchObject({
    owner: { pid: winners[0]?.held?.pid },
  });
});
