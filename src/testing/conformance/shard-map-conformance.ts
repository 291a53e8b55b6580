import assert from 'node:assert/strict';
import type { ShardMapStore, StoredShardMap } from '../../replicated/shards/shard-map-store.ts';
import { settled, type CaseOf, type ConformanceCase } from './conformance-case.ts';
import { rejection } from './opened-log.ts';

/** A map that a case runs on. */
export interface ShardMapSubject {
  /** Opens a handle of one map. The map does not exist when the case begins. */
  open(): Promise<ShardMapStore>;
}

const CASES: readonly CaseOf<ShardMapSubject>[] = [
  { name: 'reading a missing map gives undefined', check: checkMissing },
  { name: 'replace requires the current version', check: checkVersions },
  { name: 'one of several replacements of a version wins', check: checkRivals },
  { name: 'a map of 64 KiB with all byte values is read back unchanged', check: checkLargest },
  { name: 'calls after close reject', check: checkClose },
];

/** The conformance suite for stores of a shard map. Used like `sharedLogConformance`. */
export function shardMapConformance(
  makeSubject: () => ShardMapSubject | Promise<ShardMapSubject>,
): ConformanceCase[] {
  return CASES.map(({ name, check }) => ({
    name,
    run: async () => {
      const made = await makeSubject();
      const opened: ShardMapStore[] = [];
      const open = async (): Promise<ShardMapStore> => {
        const map = await made.open();
        opened.push(map);
        return map;
      };
      try {
        await check({ open });
      } finally {
        for (const map of opened) await map.close();
      }
    },
  }));
}

async function read(map: ShardMapStore): Promise<StoredShardMap> {
  const found = await settled(map.read(), 'read');
  assert.ok(found !== undefined, 'the map exists');
  return found;
}

async function mustReplace(map: ShardMapStore, expected: bigint, text: string): Promise<void> {
  const result = await settled(map.replace(expected, Buffer.from(text)), 'replace');
  assert.equal(result, 'replaced', `replacing version ${expected}, which is current`);
}

async function mustConflict(map: ShardMapStore, expected: bigint): Promise<void> {
  const result = await settled(map.replace(expected, Buffer.from('never')), 'replace');
  assert.equal(result, 'conflict', `replacing version ${expected}, which is not current`);
}

async function checkMissing(subject: ShardMapSubject): Promise<void> {
  const map = await subject.open();
  assert.equal(await settled(map.read(), 'read'), undefined, 'a map that does not exist');
  await mustConflict(map, 7n);
  assert.equal(await settled(map.read(), 'read'), undefined, 'after a conflict');
}

async function checkVersions(subject: ShardMapSubject): Promise<void> {
  const [map, other] = [await subject.open(), await subject.open()];
  await mustReplace(map, 0n, 'one');
  await mustConflict(other, 0n);
  const first = await read(other);
  assert.equal(Buffer.from(first.bytes).toString(), 'one');
  assert.ok(first.version > 0n, 'a version is positive');
  await mustReplace(other, first.version, 'two');
  await mustConflict(map, first.version);
  const second = await read(map);
  assert.equal(Buffer.from(second.bytes).toString(), 'two');
  assert.notEqual(second.version, first.version, 'a replacement changes the version');
  await mustReplace(map, second.version, 'two');
  assert.notEqual((await read(map)).version, second.version, 'also one by the same bytes');
}

async function checkRivals(subject: ShardMapSubject): Promise<void> {
  const rivals = await Promise.all([subject.open(), subject.open(), subject.open()]);
  let version = 0n;
  for (let round = 1; round <= 15; round++) {
    const texts = rivals.map((_, i) => `round ${round} of ${i}`);
    const results = await Promise.all(
      rivals.map((map, i) => map.replace(version, Buffer.from(texts[i]!))),
    );
    const won = results.flatMap((result, i) => (result === 'replaced' ? [i] : []));
    assert.equal(won.length, 1, `in round ${round}, ${won.length} of three were told 'replaced'`);
    const found = await read(rivals[0]);
    assert.equal(Buffer.from(found.bytes).toString(), texts[won[0]!]);
    version = found.version;
  }
}

async function checkLargest(subject: ShardMapSubject): Promise<void> {
  const map = await subject.open();
  const bytes = Uint8Array.from({ length: 64 * 1024 }, (_, i) => (i * 13) & 0xff);
  assert.equal(await map.replace(0n, bytes), 'replaced');
  assert.equal(Buffer.compare((await read(map)).bytes, bytes), 0, 'the same bytes');
}

async function checkClose(subject: ShardMapSubject): Promise<void> {
  const map = await subject.open();
  await map.close();
  await map.close();
  await rejection(map.read(), 'read after close');
  await rejection(map.replace(0n, Buffer.from('x')), 'replace after close');
}
