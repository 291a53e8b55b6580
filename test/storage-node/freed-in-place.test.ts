import { expect, onTestFinished, test } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs, type CallScheduler } from '../../src/testing/index.ts';
import { fill } from './support/full-disks.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;

async function openOn(files: CrashFs, options: NodeOptions): Promise<StorageNode> {
  const node = await StorageNode.open('/node', { ...SMALL, ...options }, { ...MACHINE, files });
  onTestFinished(() => node.close());
  return node;
}

test('after a restart, holes are made only in volumes in which something has died', async () => {
  const files = new CrashFs({ capacityBytes: 2 ** 30 });
  // As if the disk were nearly full.
  const options = { reserveBytes: 2 ** 50, volumeBytes: 4 * MIB, compactDeadRatio: 1 };
  const filled = await openOn(files, { volumeBytes: 4 * MIB });
  await filled.createBucket('b');
  const names = Array.from({ length: 220 }, (_, i) => `n${i}`);
  for (const name of names) await put(filled, 'b', name, bytesOf(60_000));
  // Each volume has 69.
  for (const i of [2, 5, 72, 75, 142, 145]) await filled.delete('b', names[i]!);
  await filled.close();
  const punched = (): string[] =>
    files.trace.filter(({ kind }) => kind === 'trim').map(({ path }) => path);
  const first = await openOn(files, options);
  await first.compact();
  const before = punched();
  expect(new Set(before).size).toBe(3);
  const second = [...new Set(before)].sort()[1];
  await first.close();
  const again = await openOn(files, options);
  await again.compact();
  expect(punched().slice(before.length)).toEqual([]);
  for (const i of [76, 78]) await again.delete('b', names[i]!);
  await again.compact();
  expect(new Set(punched().slice(before.length))).toEqual(new Set([second]));
  const isGone = (i: number): boolean => [2, 5, 72, 75, 142, 145, 76, 78].includes(i);
  for (const [i, name] of names.entries()) {
    expect((await get(again, 'b', name))?.length).toBe(isGone(i) ? undefined : 60_000);
  }
});

test('holes in many volumes do not keep compaction in steps waiting', async () => {
  const watch: CallScheduler & { onCall: (label: string) => void } = {
    turn: (label) => Promise.resolve(watch.onCall(label)),
    onCall: () => {},
  };
  const files = new CrashFs({ capacityBytes: 26 * MIB, scheduler: watch });
  const node = await openOn(files, {
    volumeBytes: 2 ** 30,
    reserveBytes: MIB / 2,
    compactBytesPerSecond: 0,
  });
  await node.createBucket('b');
  const bodies = await fill(node);
  for (const [i, name] of [...bodies.keys()].entries()) {
    if (i % 2 === 0) continue;
    await node.delete('b', name);
    bodies.delete(name);
  }
  await node.settled();
  /** In turn: a hole for what is dead, or for what a step has moved. */
  const kinds: string[] = [];
  watch.onCall = (label) => {
    if (!label.startsWith('trim')) return;
    const kind = node.progress('compacting') === undefined ? label.split(' ')[1]! : 'step';
    if (kinds.at(-1) !== kind) kinds.push(kind);
  };
  await node.compact();
  expect(kinds.filter((kind) => kind !== 'step').length).toBeGreaterThan(2);
  expect(kinds.indexOf('step')).toBe(1);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
});
