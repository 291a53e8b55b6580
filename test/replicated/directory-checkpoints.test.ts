import { describe, expect, test } from 'vitest';
import type { CheckpointSource } from '../../src/replicated/checkpoint/checkpoint-store.ts';
import { DirectoryCheckpoints } from '../../src/replicated/checkpoint/directory-checkpoints.ts';
import { CrashFs, checkpointStoreConformance } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const sourceOf = (text: string): CheckpointSource => ({
  sizeBytes: text.length,
  async *read() {
    for (const letter of text) yield await Promise.resolve(Buffer.from(letter));
  },
});

const textOf = async (store: DirectoryCheckpoints, name: string): Promise<string> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of store.get(name)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};

describe('a directory on the real file system is a checkpoint store', () => {
  const cases = checkpointStoreConformance(async () => {
    const directory = await temporaryDirectory();
    return { open: () => DirectoryCheckpoints.open(`${directory}/new/checkpoints`) };
  });
  test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
});

describe('a directory on the simulated file system is a checkpoint store', () => {
  const cases = checkpointStoreConformance(() => {
    const fileSystem = new CrashFs({ trace: false });
    return { open: () => DirectoryCheckpoints.open('/c', { fileSystem }) };
  });
  test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
});

/** What a machine with this disk finds: the object's text and all names. */
async function foundOn(fileSystem: CrashFs): Promise<[string | undefined, string[]]> {
  const store = await DirectoryCheckpoints.open('/c', { fileSystem });
  const found = await textOf(store, 'a/one').catch(() => undefined);
  const names: string[] = [];
  for await (const { name } of store.list('')) names.push(name);
  return [found, names];
}

test('an object is durable in a directory whose own name was not', async () => {
  const fs = new CrashFs({ trace: false });
  await fs.makeDirectory('/c');
  const store = await DirectoryCheckpoints.open('/c', { fileSystem: fs });
  await store.put('a/one', sourceOf('one'));
  expect(await foundOn(fs.minimalCrash())).toEqual(['one', ['a/one']]);
});

test('after a crash at any moment, an object is the old one, the new one, or absent', async () => {
  let restarted: CrashFs[] = [];
  const capture = (fs: CrashFs): void => {
    for (const state of fs.crashStates()) restarted.push(fs.materialise(state));
  };
  const fs = new CrashFs({ trace: false, onCrashPoint: (point) => capture(point.fs) });
  const store = await DirectoryCheckpoints.open('/c', { fileSystem: fs });
  let states = 0;
  const check = async (allowed: readonly (string | undefined)[]): Promise<void> => {
    states += restarted.length;
    for (const one of restarted.splice(0)) {
      const [found, names] = await foundOn(one);
      expect(allowed).toContain(found);
      expect(names).toEqual(found === undefined ? [] : ['a/one']);
    }
  };
  restarted = [];
  const steps = [
    { act: () => store.put('a/one', sourceOf('old')), before: undefined, after: 'old' },
    { act: () => store.put('a/one', sourceOf('newer')), before: 'old', after: 'newer' },
    { act: () => store.delete('a/one'), before: 'newer', after: undefined },
  ];
  for (const { act, before, after } of steps) {
    await act();
    await check([before, after]);
    capture(fs);
    await check([after]);
  }
  expect(states).toBeGreaterThan(10);
});

test.each(['open', 'write', 'dataSync', 'rename'] as const)(
  'a failing %s gives an error of the store, and nothing is stored',
  async (call) => {
    const fileSystem = new CrashFs();
    const store = await DirectoryCheckpoints.open('/c', { fileSystem });
    fileSystem.faults.add({ call, error: 'EIO' });
    const expected = { name: 'CheckpointStoreError', reason: 'unavailable' };
    await expect(store.put('a/one', sourceOf('one'))).rejects.toMatchObject(expected);
    expect(await foundOn(fileSystem)).toEqual([undefined, []]);
    expect([...fileSystem.files().keys()]).toEqual([]);
  },
);

test('calls after close reject', async () => {
  const store = await DirectoryCheckpoints.open('/c', { fileSystem: new CrashFs() });
  await store.close();
  await expect(store.put('a', sourceOf('one'))).rejects.toThrow('closed');
  await expect(textOf(store, 'a')).rejects.toThrow('closed');
  await expect(store.delete('a')).rejects.toThrow('closed');
});
