import { expect, test } from 'vitest';
import type { MetadataStore } from '../../src/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { Counters } from '../../examples/storage-node/src/ledger/node-record.ts';
import { Publisher } from '../../examples/storage-node/src/ledger/publisher.ts';
import { SpaceGauge } from '../../examples/storage-node/src/objects/space-gauge.ts';
import {
  OPENING_BYTES,
  ReserveFile,
} from '../../examples/storage-node/src/volumes/reserve-file.ts';

const LENGTH = 256 * 1024;

async function directory(capacityBytes: number): Promise<CrashFs> {
  const files = new CrashFs({ capacityBytes });
  await files.makeDirectory('/node');
  return files;
}

test('the reserve is made where twice its length is free, given up once, and made again', async () => {
  const files = await directory(3 * LENGTH);
  const reserve = new ReserveFile(files, '/node', LENGTH);
  expect(reserve.isWhole).toBe(false);
  await reserve.make(2 * LENGTH - 1);
  expect(reserve.isWhole).toBe(false);
  expect(await reserve.giveUp()).toBe(false);
  await reserve.make(2 * LENGTH);
  expect(reserve.isWhole).toBe(true);
  expect(await files.freeBytes('/node')).toBeLessThanOrEqual(2 * LENGTH);
  // A later run finds it; one of another length is created again.
  const later = new ReserveFile(files, '/node', LENGTH);
  await later.make(0);
  expect(later.isWhole).toBe(true);
  const longer = new ReserveFile(files, '/node', LENGTH + 4096);
  await longer.make(3 * LENGTH);
  expect((await files.stat('/node/reserve')).sizeBytes).toBe(LENGTH + 4096);
  expect(await longer.giveUp()).toBe(true);
  expect(longer.isWhole).toBe(false);
  expect(await longer.giveUp()).toBe(false);
  // The disk said more than there was: nothing is left of the attempt.
  const large = new ReserveFile(files, '/node', 4 * LENGTH);
  await large.make(100 * LENGTH);
  expect(large.isWhole).toBe(false);
  expect(await files.freeBytes('/node')).toBe(3 * LENGTH - OPENING_BYTES);
  // The small one, which was made beside the first, is only for an open.
  expect(await longer.giveUpToOpen()).toBe(true);
  expect(await files.freeBytes('/node')).toBe(3 * LENGTH);
  expect(await longer.giveUpToOpen()).toBe(false);
  expect(new ReserveFile(files, '/node', 0).isWhole).toBe(true);
});

test('bodies are refused while the reserve is given up, however much is free', async () => {
  const files = await directory(10 * LENGTH);
  const reserveFile = new ReserveFile(files, '/node', LENGTH);
  const freeBytes = () => files.freeBytes('/node');
  const space = new SpaceGauge({
    freeBytes,
    writtenBytes: () => 0,
    reserveBytes: LENGTH,
    reserveFile,
    onError: (error) => expect.unreachable(String(error)),
  });
  await space.look();
  expect(() => space.check(1)).toThrow('are needed');
  expect(space.isScarce).toBe(true);
  await space.refill();
  expect(space.isScarce).toBe(false);
  space.check(1);
  expect(() => space.check(9 * LENGTH)).toThrow('are needed');
  await reserveFile.giveUp();
  await space.look();
  expect(() => space.check(1)).toThrow('are needed');
  expect(space.refused).toBe(3);
});

test('a reserve that cannot be removed or made is reported, and ends nothing', async () => {
  const files = await directory(3 * LENGTH);
  const reserveFile = new ReserveFile(files, '/node', LENGTH);
  await reserveFile.make(Infinity);
  const errors: unknown[] = [];
  const space = new SpaceGauge({
    freeBytes: () => files.freeBytes('/node'),
    writtenBytes: () => 0,
    reserveBytes: LENGTH,
    reserveFile,
    onError: (error) => errors.push(error),
  });
  const fault = { error: 'EIO', path: '/node/reserve', mode: 'sticky' } as const;
  files.faults.add({ call: 'unlink', ...fault });
  const freeBytes = await files.freeBytes('/node');
  await space.makeRoom(freeBytes + 1);
  expect(errors).toMatchObject([{ code: 'EIO' }]);
  expect(space.freeBytes).toBe(freeBytes);
  files.faults.add({ call: 'stat', ...fault });
  await space.refill();
  expect(errors).toMatchObject([{ code: 'EIO' }, { code: 'EIO' }]);
  files.faults.clear();
  await space.refill();
  expect(space.isScarce).toBe(false);
  expect(errors).toHaveLength(2);
});

/** A store that finds no room so many times. */
function fullStore(refusals: { left: number }): MetadataStore {
  const insertBatch = (): Promise<void> => {
    if (refusals.left-- <= 0) return Promise.resolve();
    const full = Object.assign(new Error('full'), { code: 'LODESTORE_FULL' });
    return Promise.reject(Object.assign(full, { outcome: 'not-applied' }));
  };
  return { insertBatch } as unknown as MetadataStore;
}

test('a batch that finds no room is published in that of the reserve', async () => {
  const files = await directory(Infinity);
  const reserve = new ReserveFile(files, '/node', LENGTH);
  await reserve.make(Infinity);
  const refusals = { left: 1 };
  const publisher = new Publisher(fullStore(refusals), new Counters(undefined), {
    onFull: () => reserve.giveUp(),
  });
  const publish = (key: bigint): Promise<void> =>
    publisher.submit((turn) => turn.put(key, 1n, new Uint8Array(10)));
  await publish(1n);
  expect(reserve.isWhole).toBe(false);
  // There is no more to give: two that share a batch are tried alone, and refused.
  refusals.left = 3;
  const refused = await Promise.allSettled([publish(2n), publish(3n)]);
  expect(refused).toMatchObject([
    { status: 'rejected', reason: { code: 'NO_SPACE' } },
    { status: 'rejected', reason: { code: 'NO_SPACE' } },
  ]);
  await publish(4n);
  expect(publisher.failure).toBeUndefined();
});
