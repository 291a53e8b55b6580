import { expect, onTestFinished, test } from 'vitest';
import { NoSpaceError } from '../../examples/storage-node/src/node-errors.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;

interface FullNode {
  readonly node: StorageNode;
  readonly notices: string[];
  readonly errors: Error[];
  /** Takes all remaining space but `leftBytes`; `false` frees it. */
  readonly ballast: (isThere: boolean, leftBytes?: number) => Promise<void>;
}

async function nodeOn(capacityBytes: number): Promise<FullNode> {
  const files = new CrashFs({ capacityBytes });
  await files.makeDirectory('/other');
  const file = await files.open('/other/ballast', 'wx');
  const notices: string[] = [];
  const errors: Error[] = [];
  const options = {
    ...SMALL,
    volumeBytes: MIB / 4,
    indexVolumeBytes: MIB / 8,
    reserveBytes: MIB,
    onNotice: (text: string) => void notices.push(text),
    onError: (error: Error) => void errors.push(error),
  };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  return {
    node,
    notices,
    errors,
    ballast: async (isThere, leftBytes = 0) => {
      const { sizeBytes } = await files.stat('/other/ballast');
      const takenBytes = sizeBytes + (await files.freeBytes('/other')) - leftBytes;
      await file.truncate(isThere ? takenBytes : 0);
    },
  };
}

test('a full disk and space again are told once, also on the status page', async () => {
  const { node, notices, errors } = await nodeOn(6 * MIB);
  let count = 0;
  for (const sizeBytes of [100_000, 20_000, 20_000]) {
    const store = (): Promise<unknown> =>
      put(node, 'b', `n${count}`, bytesOf(sizeBytes), undefined, { sizeBytes }).then(() => count++);
    let refusal: unknown;
    while (refusal === undefined)
      refusal = await store().then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(refusal).toMatchObject({ code: 'NO_SPACE' });
    await expect(store()).rejects.toThrow(
      /^no space on the disk: \d+ bytes are needed, \d+ are free$/,
    );
    expect(notices).toHaveLength(1);
  }
  expect(notices[0]).toMatch(
    /^the disk is full: 1\.0 MiB free, 1\.0 MiB reserved, 97\.7 KiB needed\. PUT is refused \(507 InsufficientStorage\) until objects are deleted, incomplete uploads are aborted, or other files are removed$/,
  );
  // A larger body is no news.
  await expect(
    put(node, 'b', 'tiny', bytesOf(10), undefined, { sizeBytes: 2 * MIB }),
  ).rejects.toMatchObject({ code: 'NO_SPACE' });
  expect(notices).toHaveLength(1);
  // The free space is measured, and too little.
  const { space } = await node.figures();
  expect([node.isFull, space.isFull]).toEqual([true, true]);
  expect(notices).toHaveLength(1);
  for (let i = 0; i < count; i++) await node.delete('b', `n${i}`);
  await node.compact();
  await node.settled();
  const later = await node.figures();
  expect([node.isFull, later.space.isFull]).toEqual([false, false]);
  expect(notices.slice(1)).toEqual([
    expect.stringMatching(
      /^there is space again: [2-9]\.\d MiB free, 1\.0 MiB reserved\. PUT works again$/,
    ),
  ]);
  expect(errors).toEqual([]);
  const { recentErrors } = await node.figures();
  expect(recentErrors.map(({ message }) => message)).toEqual(notices);
});

test('a disk is full when more than the reserve is free, but not enough for a body', async () => {
  const { node, ballast } = await nodeOn(8 * MIB);
  for (const [leftBytes, isFull] of [
    [2.1 * MIB, false],
    [1.9 * MIB, true],
  ] as const) {
    await ballast(true, Math.floor(leftBytes));
    const { space } = await node.figures();
    expect(space).toMatchObject({ isFull, reserveBytes: MIB, freeBytes: Math.floor(leftBytes) });
    expect(node.isFull).toBe(isFull);
  }
});

test('a disk without room for a large body is told again when it is full for small ones', async () => {
  const { node, notices } = await nodeOn(6 * MIB);
  const store = (sizeBytes: number): Promise<unknown> =>
    put(node, 'b', 'n', bytesOf(10), undefined, { sizeBytes });
  for (const sizeBytes of [9 * MIB, 8 * MIB, 7 * MIB]) {
    await expect(store(sizeBytes)).rejects.toMatchObject({ code: 'NO_SPACE' });
  }
  expect(notices).toEqual([expect.stringContaining(', 9.0 MiB needed')]);
  for (let i = 0, isFull = false; !isFull; i++) {
    const body = bytesOf(100_000);
    isFull = await put(node, 'b', `n${i}`, body, undefined, { sizeBytes: body.length }).then(
      () => false,
      () => true,
    );
  }
  expect(notices.slice(1)).toEqual([expect.stringContaining(', 97.7 KiB needed')]);
});

test('background work that fails on a full disk is told once, as the full disk', async () => {
  const { node, notices, errors, ballast } = await nodeOn(8 * MIB);
  const names = Array.from({ length: 1_500 }, (_, i) => `${i} ${'x'.repeat(200)}`);
  await Promise.all(names.map((name) => put(node, 'b', name, bytesOf(10))));
  await node.settled();
  await ballast(true);
  await Promise.allSettled(names.map((name) => node.delete('b', name)));
  await node.settled();
  await expect.poll(() => notices.length).toBe(1);
  expect(notices[0]).toMatch(/^the disk is full: \d.*B free, 1\.0 MiB reserved/);
  expect(errors.filter((error) => error instanceof NoSpaceError)).toEqual([]);
  await ballast(false);
  await node.compact();
  await node.settled();
  expect(notices).toHaveLength(2);
  expect(notices[1]).toContain('there is space again');
});

test('a lack of space says whether there is space by now', () => {
  expect(new NoSpaceError(4_096, 0).message).toBe(
    'no space on the disk: 4096 bytes are needed, 0 are free',
  );
  expect(new NoSpaceError(4_096, 12_288).message).toBe(
    'no space on the disk for 4096 bytes; by now 12288 are free',
  );
});
