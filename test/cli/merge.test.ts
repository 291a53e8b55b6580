import { expect, test } from 'vitest';
import { mergeStore } from '../../src/cli/merge.ts';
import { MetadataStore } from '../../src/index.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { runCli, runOn } from '../support/cli.ts';
import { closedStore, flipByte, namesIn } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { nth } from '../support/nth.ts';

test('merge writes all logs into one snapshot; a second merge does nothing', async () => {
  const directory = await closedStore();
  const before = (await runCli(['export', directory])).out;
  const logs = (await namesIn(directory, 'log_')).length;
  const { code, out } = await runCli(['merge', '--json', directory]);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ directory, records: 3_000, logs });
  expect(await namesIn(directory, 'log_')).toEqual([]);
  expect(await namesIn(directory, 'snapshot_')).toHaveLength(1);
  expect((await runCli(['export', directory])).out).toBe(before);
  expect((await runCli(['merge', directory])).out).toBe(
    'Nothing to merge: the snapshot holds all 3,000 records.\n',
  );
});

test('merge prints text', async () => {
  const { out } = await runCli(['merge', await closedStore()]);
  expect(out).toMatch(
    /^Merged \d+ logs of .*iB and a snapshot of .*iB into a snapshot of .*iB with 3,000 records in .*s\.\n$/,
  );
});

test('merge refuses an open store, a directory without a store, and damage', async () => {
  const directory = await closedStore();
  const store = await MetadataStore.open(directory);
  expect((await runCli(['merge', directory])).code).toBe(3);
  await store.close();
  const empty = await temporaryDirectory();
  expect((await runCli(['merge', empty])).code).toBe(4);
  expect(await namesIn(empty, 'snapshot_')).toEqual([]);
  await flipByte(directory, nth(await namesIn(directory, 'log_'), 0), 200);
  expect((await runCli(['merge', directory])).code).toBe(1);
});

test('an interrupted merge keeps the old snapshot and all logs', async () => {
  const directory = await closedStore();
  const names = await namesIn(directory, '');
  const before = (await runCli(['export', directory])).out;
  const controller = new AbortController();
  const { signal } = controller;
  await expect(
    runOn(nodeFileSystem, (context) => {
      // The command listens for this event once the open is complete.
      const add = signal.addEventListener.bind(signal);
      signal.addEventListener = (...given: Parameters<typeof add>) => {
        add(...given);
        if (typeof given[1] === 'function' && given[1].name === 'stop') controller.abort();
      };
      return mergeStore({ ...context, signal }, directory, {});
    }),
  ).rejects.toThrow(/nothing has been merged/);
  expect(await namesIn(directory, '')).toEqual(names);
  expect((await runCli(['export', directory])).out).toBe(before);
});
