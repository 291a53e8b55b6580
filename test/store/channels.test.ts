import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { commitChannel } from '../../src/store/observe/channels.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: Number.MAX_SAFE_INTEGER };
const PHASES = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

interface Heard {
  readonly phase: string;
  readonly message: Record<string, unknown>;
}

/** Records what is published on a channel during the running test. */
function listen(name: string): Heard[] {
  const heard: Heard[] = [];
  const listeners = PHASES.map((phase) => ({
    channel: `tracing:lodestore:${name}:${phase}`,
    listener: (message: unknown) =>
      void heard.push({ phase, message: message as Record<string, unknown> }),
  }));
  for (const { channel, listener } of listeners) subscribe(channel, listener);
  onTestFinished(() => {
    for (const { channel, listener } of listeners) unsubscribe(channel, listener);
  });
  return heard;
}

const phasesOf = (heard: readonly Heard[]): string[] => heard.map(({ phase }) => phase);

function put(key: number): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value: 1 };
}

test('open publishes the directory, and the store as its result', async () => {
  const heard = listen('open');
  const store = await openOn(new CrashFs(), '/s');
  expect(phasesOf(heard)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  const { message } = heard[3]!;
  expect(message).toMatchObject({ directory: '/s', readOnly: false });
  expect(message['result']).toBe(store);
  await store.close();
  await expect(openOn(new CrashFs(), '/none', { readOnly: true })).rejects.toThrow('there is');
  expect(phasesOf(heard.slice(4))).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  expect(heard[6]!.message['error']).toMatchObject({ code: expect.any(String) });
});

test.each([null, 'read-only', 7])(
  'options that are not an object are refused with and without a subscriber: %s',
  async (options) => {
    const open = () => openOn(new CrashFs(), '/s', options as never);
    await expect(open()).rejects.toThrow(new TypeError('options must be an object'));
    const heard = listen('open');
    await expect(open()).rejects.toThrow(new TypeError('options must be an object'));
    expect(heard.at(-1)!.message).toMatchObject({ directory: '/s', readOnly: false });
  },
);

test('a commit publishes one context per group, with its costs', async () => {
  const store = await openOn(new CrashFs(), '/s', NO_MERGES);
  const heard = listen('commit');
  await Promise.all([store.insertBatch([put(1)]), store.insertBatch([put(2), put(3)])]);
  expect(phasesOf(heard)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  expect(new Set(heard.map(({ message }) => message)).size).toBe(1);
  const { message } = heard[0]!;
  expect(message).toMatchObject({ directory: '/s', batches: 2, updates: 3, writeMs: 0 });
  expect(message['store']).toBe(store);
  const { commits } = store.stats();
  expect(message['bytes']).toBe(commits.writtenBytes);
  expect(message['syncMs']).toBe(commits.syncMs);
  expect(message['encodeMs']).toBe(commits.encodeMs);
  expect(message['batchMs']).toEqual([expect.any(Number), expect.any(Number)]);
  await store.close();
});

test('a failed commit publishes the error that its batch gets', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', NO_MERGES);
  const heard = listen('commit');
  // Only the write of a group is durable: zeros for the next log are written, too.
  fs.faults.add({ call: 'writeSync', error: 'ENOSPC' });
  const rejected = await store.insertBatch([put(1)]).catch((error: unknown) => error);
  expect(phasesOf(heard)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
  expect(heard[2]!.message['error']).toBe(rejected);
  await store.close();
});

test('an exception of a subscriber is uncaught, and no commit fails', async () => {
  const store = await openOn(new CrashFs(), '/s', NO_MERGES);
  const bug = new Error('in a subscriber');
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const thrown: unknown[] = [];
  process.on('uncaughtException', (error) => thrown.push(error));
  const listener = (): void => {
    throw bug;
  };
  for (const phase of PHASES) subscribe(`tracing:lodestore:commit:${phase}`, listener);
  try {
    await store.insertBatch([put(1)]);
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    for (const phase of PHASES) unsubscribe(`tracing:lodestore:commit:${phase}`, listener);
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  }
  expect(thrown).toEqual([bug, bug, bug, bug]);
  expect(store.size).toBe(1);
  await store.close();
});

test('rotations, merges and backups are published', async () => {
  const directory = await temporaryDirectory();
  await using store = await MetadataStore.open(join(directory, 'store'), NO_MERGES);
  const rotations = listen('rotate');
  const merges = listen('merge');
  const backups = listen('backup');
  await store.insertBatch([put(1)]);
  await store.merge();
  expect(phasesOf(rotations)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  expect(rotations[0]!.message).toMatchObject({
    number: expect.any(Number),
    path: expect.stringContaining('log_'),
    bytes: expect.any(Number),
  });
  expect(phasesOf(merges)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  const { snapshotBytes, lastDurationMs } = store.stats().merges;
  expect(merges[3]!.message).toMatchObject({ logs: 1, snapshotBytes, durationMs: lastDurationMs });
  const target = join(directory, 'backup');
  const report = await store.backup(target);
  expect(phasesOf(backups)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  expect(backups[3]!.message).toMatchObject({ target });
  expect(backups[3]!.message['result']).toBe(report);
});

test('without a subscriber, nothing is published and no context is made', async () => {
  const store = await openOn(new CrashFs(), '/s', NO_MERGES);
  const trace = vi.spyOn(commitChannel.start, 'runStores');
  onTestFinished(() => trace.mockRestore());
  await store.insertBatch([put(1)]);
  expect(trace).not.toHaveBeenCalled();
  listen('commit');
  await store.insertBatch([put(2)]);
  expect(trace).toHaveBeenCalledTimes(1);
  await store.close();
});
