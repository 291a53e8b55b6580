import { expect, onTestFinished, test, vi } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { Gate } from './support/gate.ts';
import { bytesOf, put, SMALL } from './support/nodes.ts';

const OPTIONS = { ...SMALL, volumeBytes: 64 * 1024, compactDeadRatio: 0.01 };

function openOn(files: CrashFs): Promise<StorageNode> {
  return StorageNode.open('/node', OPTIONS, { ...MACHINE, files });
}

async function namesOf(node: StorageNode): Promise<string[]> {
  return (await node.list('b')).objects.map(({ name }) => name);
}

test('what was written and never acknowledged is cut off, and a rebuild does not find it', async () => {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const node = await openOn(files);
  onTestFinished(() => gate.openAll());
  await node.createBucket('b');
  await put(node, 'b', 'acknowledged', bytesOf(5_000));
  await node.settled();
  const deadBytes = async (): Promise<number> => {
    const { volumes } = await node.figures();
    return volumes.reduce((sum, volume) => sum + volume.deadBytes, 0);
  };
  const before = await deadBytes();
  const release = gate.hold(/metadata/);
  const stored = put(node, 'b', 'not acknowledged', bytesOf(5_000));
  // Its record is synced in its volume.
  await vi.waitUntil(async () => (await deadBytes()) > before + 5_000);
  const crashed = files.minimalCrash();
  release();
  await stored;
  await node.close();
  const again = await openOn(crashed);
  expect(again.recovery.cutBytes).toBeGreaterThan(5_000);
  expect(await namesOf(again)).toEqual(['acknowledged']);
  await again.close();
  await rebuildIndex('/node', OPTIONS, {}, { ...MACHINE, files: crashed });
  const rebuilt = await openOn(crashed);
  expect(await namesOf(rebuilt)).toEqual(['acknowledged']);
  await rebuilt.close();
});

test('the number of a removed volume is not used again, also after a restart', async () => {
  const files = new CrashFs();
  const used = new Set<number>();
  for (let run = 0; run < 3; run++) {
    const node = await openOn(files);
    if (run === 0) await node.createBucket('b');
    const before = new Set((await node.figures()).volumes.map(({ number }) => number));
    for (let i = 0; i < 4; i++) await put(node, 'b', `n${i}`, bytesOf(50_000));
    await node.settled();
    const numbers = (await node.figures()).volumes.map(({ number }) => number);
    const made = numbers.filter((number) => !before.has(number));
    expect(made.length).toBeGreaterThan(2);
    expect(made.filter((number) => used.has(number))).toEqual([]);
    for (const number of numbers) used.add(number);
    for (let i = 0; i < 4; i++) await node.delete('b', `n${i}`);
    await node.settled();
    await node.compact();
    await node.settled();
    expect((await node.figures()).volumes.length).toBeLessThan(numbers.length);
    await node.close();
  }
});
