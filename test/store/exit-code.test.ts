import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const READER = programPath('awaiting-reader');
const CHILD = programPath('unsettled-child');

/** Node's code for a top-level `await` that never settles. */
const UNSETTLED_AWAIT = 13;

test('a program that waits forever exits as it would without a store', async () => {
  const directory = await temporaryDirectory();
  const child = spawn(process.execPath, [CHILD, directory], { stdio: 'ignore' });
  expect(await once(child, 'exit')).toEqual([UNSETTLED_AWAIT, null]);
  const store = await MetadataStore.open(directory);
  expect(store.size).toBe(1);
  await store.close();
});

test('a program that waits for a batch of another process lives until it is there', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await store.put(1, 1);
  const child = fork(READER, [directory], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await once(child, 'disconnect');
  await store.put(2, 2);
  expect(await ended).toEqual([0, null]);
  await store.close();
});
