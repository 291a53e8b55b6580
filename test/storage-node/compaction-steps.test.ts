import { expect, onTestFinished, test, vi } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs, type CallScheduler } from '../../src/testing/index.ts';
import { fill } from './support/full-disks.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;
/** Compaction makes no pauses: the clock may stand still. */
const OPTIONS = { ...SMALL, volumeBytes: 2 ** 30, compactBytesPerSecond: 0 };

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

/** Nobody waits for too long while this clock stands still. */
function stopClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
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
  const options = { ...OPTIONS, reserveBytes: MIB / 2 };
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
  stopClock();
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

test('who reads slowly on a full disk keeps what it reads, and nothing else', async () => {
  const files = new CrashFs({ capacityBytes: 14 * MIB });
  const options = { ...OPTIONS, reserveBytes: MIB / 2 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  const bodies = await fill(node);
  const sealed = (await node.figures()).volumes.filter((volume) => {
    return volume.class === 'object' && volume.state === 'sealed';
  });
  // Each has 68 objects.
  expect(sealed.length).toBeGreaterThan(1);
  for (const [i, name] of [...bodies.keys()].entries()) {
    const isFirst = i < 60 && i % 4 !== 0;
    const isSecond = i >= 70 && i < 130 && i % 2 === 0;
    if (!isFirst && !isSecond) continue;
    await node.delete('b', name);
    bodies.delete(name);
  }
  await node.settled();
  // Most can be freed in its volume.
  const reader = (await node.open('b', 'n000'))!;
  stopClock();
  let isDone = false;
  const compacted = node.compact().finally(() => (isDone = true));
  await turnsUntil(() => {
    vi.advanceTimersByTime(10);
    return isDone;
  });
  expect(isDone).toBe(true);
  await compacted;
  bodies.set('new', bytesOf(60_000));
  await put(node, 'b', 'new', bodies.get('new')!, undefined, { sizeBytes: 60_000 });
  const path = `/node/volumes/${volumeFileName(sealed[0]!.number)}`;
  expect(files.trace.some((call) => call.kind === 'trim' && call.path === path)).toBe(true);
  expectSame(await bodyOf(reader), bodies.get('n000')!);
  vi.useRealTimers();
  await node.compact();
  await node.settled();
  expect(files.trace.some((call) => call.kind === 'trim' && call.path === path)).toBe(true);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
});
