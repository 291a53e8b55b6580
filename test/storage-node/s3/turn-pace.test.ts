import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TurnPace } from '../../../examples/storage-node/src/s3/payload/turn-pace.ts';

const KIB = 1024;

test('a turn of the event loop digests 256 KiB of all bodies together, first come, first served', async () => {
  const pace = new TurnPace();
  const done: number[] = [];
  const perTurn: number[] = [];
  const work = Array.from({ length: 20 }, async (_, i) => {
    await pace.take(64 * KIB);
    done.push(i);
  });
  const all = Promise.all(work).then(() => true);
  for (let before = 0; done.length < 20; before = done.length) {
    await nextTurn();
    perTurn.push(done.length - before);
  }
  await all;
  expect(done).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(perTurn).toEqual([4, 4, 4, 4, 4]);
});

test('a piece longer than a turn is digested alone in one turn', async () => {
  const pace = new TurnPace();
  expect(pace.take(512 * KIB)).toBeUndefined();
  let isNext = false;
  const next = pace.take(1)!.then(() => (isNext = true));
  await Promise.resolve();
  expect(isNext).toBe(false);
  await next;
});
