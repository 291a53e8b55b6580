import { expect, onTestFinished, test } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs, type CallScheduler } from '../../src/testing/index.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;

/** Calls `onCall` before each call of the disk, and waits for it. */
class Watch implements CallScheduler {
  onCall: (label: string) => Promise<void> | void = () => {};

  async turn(label: string): Promise<void> {
    await this.onCall(label);
  }
}

/** Lets others run until `isDone`, or for so many turns that nothing happens by itself any more. */
async function turnsUntil(isDone: () => boolean, most = 20_000): Promise<boolean> {
  for (let turn = 0; turn < most; turn++) {
    if (isDone()) return true;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return isDone();
}

async function bodyOf(
  reader: NonNullable<Awaited<ReturnType<StorageNode['open']>>>,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.body()) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('a step of compaction frees nothing that was opened after the step before it', async () => {
  const watch = new Watch();
  const files = new CrashFs({ capacityBytes: 9 * MIB, scheduler: watch });
  const options = { ...SMALL, volumeBytes: 2 ** 30, reserveBytes: MIB / 2 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  // One volume of 4 MiB, and the start of the next.
  for (let i = 0; i < 90; i++) {
    const name = `n${String(i).padStart(2, '0')}`;
    bodies.set(name, bytesOf(60_000));
    await put(node, 'b', name, bodies.get(name)!);
  }
  for (const [i, name] of [...bodies.keys()].entries()) {
    if (i % 2 === 0 || i >= 60) continue;
    await node.delete('b', name);
    bodies.delete(name);
  }
  await node.settled();
  // It begins in the second MiB, and is opened when the first is about to be freed.
  const name = 'n22';
  let reader: Awaited<ReturnType<StorageNode['open']>>;
  const holes: { readonly isRead: boolean }[] = [];
  let isRead = false;
  watch.onCall = async (label) => {
    const { doneBytes = 0 } = node.progress('compacting') ?? {};
    if (!label.startsWith('trim') || doneBytes === 0) return;
    holes.push({ isRead });
    if (holes.length === 1) reader = await node.open('b', name);
  };
  const compacted = node.compact();
  // The second step has moved the object, and has to wait.
  await turnsUntil(() => (node.progress('compacting')?.doneBytes ?? 0) > 1.5 * MIB);
  await turnsUntil(() => holes.length > 2, 200);
  expect(reader).toBeDefined();
  expectSame(await bodyOf(reader!), bodies.get(name)!);
  isRead = true;
  await compacted;
  expect(holes.length).toBeGreaterThan(2);
  expect(holes.map((hole) => hole.isRead)).toEqual(holes.map((_, i) => i > 0));
  await node.settled();
  for (const [each, body] of bodies) expectSame(await get(node, 'b', each), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
});
