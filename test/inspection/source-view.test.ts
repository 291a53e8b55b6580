import { expect, test } from 'vitest';
import { InvariantError } from '../../src/base/assert.ts';
import { viewSource } from '../../src/inspection/source-view.ts';
import { readOnlyFiles } from '../support/read-only-files.ts';

test('a view of a source shows its files except hidden ones and refuses every change', async () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const files = readOnlyFiles(
    new Map([
      ['a', bytes],
      ['b', bytes],
    ]),
  );
  let readBytes = 0;
  const view = viewSource(files, {
    hidden: new Set(['b']),
    onRead: (lengthBytes) => (readBytes += lengthBytes),
  });
  expect((await view.readDirectory('/')).map(({ name }) => name)).toEqual(['a']);
  const file = await view.open('/a', 'r');
  await file.read(new Uint8Array(3), 0);
  expect(readBytes).toBe(3);
  for (const change of [
    () => view.open('/a', 'r+'),
    () => view.rename('/a', '/c'),
    () => view.unlink('/a'),
    () => view.syncDirectory('/'),
    () => view.tryLock('/a'),
    () => file.write(bytes, 0),
    () => file.truncate(0),
    () => file.dataSync(),
  ]) {
    await expect(change()).rejects.toThrow(InvariantError);
  }
});
