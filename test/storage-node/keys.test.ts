import { writeFile } from 'node:fs/promises';
import { nodeFileSystem } from 'lodestore/fs';
import { expect, test } from 'vitest';
import {
  ensureKeys,
  keyFilePath,
  readKeys,
  withKeysLocked,
} from '../../examples/storage-node/src/cli/key-file.ts';
import { KeyRing } from '../../examples/storage-node/src/cli/key-ring.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { cli } from './support/cli.ts';

function sortedIds(keys: readonly { readonly accessKeyId: string }[]): string[] {
  return keys.map(({ accessKeyId }) => accessKeyId).sort();
}

// The lock does not distinguish rings of one process from those of several.
test('keys that several processes add and remove at the same time are all changed', async () => {
  const data = await temporaryDirectory();
  const rings = Array.from({ length: 4 }, () => new KeyRing(data));
  const added = await Promise.all(rings.flatMap((ring) => [ring.addKey(), ring.addKey()]));
  expect(sortedIds(await readKeys(data))).toEqual(sortedIds(added));
  const [first, second, ...others] = added;
  const removed = await Promise.all([
    rings[0]!.removeKey(first!.accessKeyId),
    rings[1]!.removeKey(second!.accessKeyId),
  ]);
  expect(removed).toEqual([true, true]);
  expect(sortedIds(await readKeys(data))).toEqual(sortedIds(others));
});

test('two starts in an empty directory have the same first key', async () => {
  const data = await temporaryDirectory();
  const [one, other] = await Promise.all([ensureKeys(data), ensureKeys(data)]);
  expect(one).toHaveLength(1);
  expect(other).toEqual(one);
  expect(await readKeys(data)).toEqual(one);
});

test('a change of keys gives up while another process hangs in one, and changes nothing', async () => {
  const data = await temporaryDirectory();
  const lock = await nodeFileSystem.tryLock(`${keyFilePath(data)}.lock`);
  let isChanged = false;
  const change = async (): Promise<void> => void (isChanged = true);
  await expect(withKeysLocked(data, change, 0)).rejects.toThrow('another process is changing');
  expect(isChanged).toBe(false);
  await lock?.release();
  await withKeysLocked(data, change, 0);
  expect(isChanged).toBe(true);
});

test('the lock is released when a change fails', async () => {
  const data = await temporaryDirectory();
  await writeFile(keyFilePath(data), '{}');
  const ring = new KeyRing(data);
  await expect(ring.addKey()).rejects.toThrow('not a list of keys');
  await writeFile(keyFilePath(data), '[]');
  await ring.addKey();
  expect(await readKeys(data)).toHaveLength(1);
});

test.each([
  ['{ "a', 'it is not JSON'],
  ['[{"accessKeyId": "ABC", "secretAccessKey": "the secret }]', 'it is not JSON'],
  // The message of JSON.parse has some of the text.
  ['[{"secretAccessKey": the secret }]', 'it is not JSON'],
  ['{}', 'it is not a list of keys'],
  ['[{"accessKeyId": "ABC"}]', 'it is not a list of keys'],
  [
    '[{"accessKeyId": "ABC", "secretAccessKey": "short"}]',
    'the secret of ABC must have at least 8',
  ],
  ['[{"accessKeyId": "A B", "secretAccessKey": "long enough"}]', 'accessKeyId must be 3 to 128'],
])(
  'a key file that a server could not use is named, without its secrets: %s',
  async (text, why) => {
    const data = await temporaryDirectory();
    await writeFile(keyFilePath(data), text);
    for (const args of [['keys'], ['start', '--port', '0', '--admin-port', '0']]) {
      const said = await cli([...args, '--data', data]);
      expect(said).toMatchObject({ code: 1, out: '' });
      expect(said.err).toContain(`${keyFilePath(data)} cannot be used: ${why}`);
      expect(said.err).not.toMatch(/ {4}at |the secret [^o]/);
    }
  },
);
