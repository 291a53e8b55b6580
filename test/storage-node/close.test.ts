import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import type { FileSystem, OpenFile } from '../../src/fs/file-system.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, openNode, put, SMALL } from './support/nodes.ts';

test('every call of close resolves when the directory is released', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  void node.close();
  await node.close();
  const again = await openNode(directory);
  expect(again.buckets()).toEqual([]);
});

/** As `value`, with other methods; the rest keep their object, which may have private fields. */
function changed<T extends object>(value: T, methods: Partial<T>): T {
  return new Proxy(value, {
    get: (target, name) => {
      if (name in methods) return methods[name as keyof T];
      const found: unknown = Reflect.get(target, name);
      return typeof found === 'function' ? (found.bind(target) as unknown) : found;
    },
  });
}

test('a step of close that fails does not keep the directory locked', async () => {
  const directory = await temporaryDirectory();
  const failing = new Set<string>();
  const files = changed<FileSystem>(MACHINE.files, {
    open: async (path, flags) => {
      const file: OpenFile = await MACHINE.files.open(path, flags);
      const close = async (): Promise<void> => {
        await file.close();
        if (failing.has(dirname(path))) throw new Error('EIO');
      };
      return changed(file, { close });
    },
  });
  const node = await StorageNode.open(directory, SMALL, { ...MACHINE, files });
  await node.createBucket('b');
  await put(node, 'b', 'a', bytesOf(1_000));
  failing.add(join(directory, 'volumes'));
  await expect(node.close()).rejects.toThrow('EIO');
  await expect(node.close()).rejects.toThrow('EIO');
  await openNode(directory);
});
