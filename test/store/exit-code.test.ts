import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

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
