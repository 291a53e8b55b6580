import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MetadataStore, restoreBackup } from '../../src/index.ts';
import { closedStore } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('a backup or a restore into the directory of another store or of a backup is refused', async () => {
  const other = await closedStore();
  const base = await temporaryDirectory();
  const backup = join(base, 'backup');
  const link = join(base, 'link');
  symlinkSync(other, link);
  const store = await MetadataStore.open(join(base, 'store'));
  await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
  await store.backup(backup);
  const targets = [join(other, 'in'), join(other, 'deep', 'in'), join(link, 'in')];
  for (const target of targets) {
    const refused = { code: 'LODESTORE_BAD_TARGET', message: expect.stringContaining(other) };
    await expect(store.backup(target)).rejects.toMatchObject(refused);
    await expect(restoreBackup(backup, target)).rejects.toMatchObject(refused);
  }
  await expect(store.backup(join(backup, 'in'))).rejects.toMatchObject({
    code: 'LODESTORE_BAD_TARGET',
  });
  expect(existsSync(join(other, 'deep'))).toBe(false);
  // A directory that holds stores is no store.
  mkdirSync(join(base, 'more'));
  await restoreBackup(backup, join(base, 'more', 'restored'));
  await store.close();
});
