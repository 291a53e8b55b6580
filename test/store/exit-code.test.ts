import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const HOOK = new URL('../support/register-typescript.mjs', import.meta.url).href;
const CHILD = fileURLToPath(new URL('../support/unsettled-child.ts', import.meta.url));

/** Node's code for a top-level `await` that never settles. */
const UNSETTLED_AWAIT = 13;

test('a program that waits forever exits as it would without a store', async () => {
  const directory = await temporaryDirectory();
  const child = spawn(process.execPath, ['--import', HOOK, CHILD, directory], { stdio: 'ignore' });
  expect(await once(child, 'exit')).toEqual([UNSETTLED_AWAIT, null]);
  const store = await MetadataStore.open(directory);
  expect(store.size).toBe(1);
  await store.close();
});
