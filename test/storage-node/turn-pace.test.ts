import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TurnPace } from '../../examples/storage-node/src/turn-pace.ts';

const KIB = 1024;

test('a turn of the event loop has 256 KiB of all pieces together, first come, first served', async () => {
  const pace = new TurnPace(256 * KIB);
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

test('a turn has no piece that exceeds it, and none overtakes another', async () => {
  const pace = new TurnPace(64 * KIB);
  const turns: string[] = [];
  const take = async (name: string, bytes: number) => {
    await pace.take(bytes);
    turns.push(name);
  };
  const all = Promise.all([take('a', KIB), take('b', 64 * KIB), take('c', KIB), take('d', KIB)]);
  await Promise.resolve();
  await Promise.resolve();
  expect(turns).toEqual(['a']);
  await nextTurn();
  await nextTurn();
  await nextTurn();
  await all;
  expect(turns).toEqual(['a', 'b', 'c', 'd']);
});

test('a piece longer than a turn is alone in one turn', async () => {
  const pace = new TurnPace(256 * KIB);
  expect(pace.take(512 * KIB)).toBeUndefined();
  let isNext = false;
  const next = pace.take(1)!.then(() => (isNext = true));
  await Promise.resolve();
  expect(isNext).toBe(false);
  await next;
});
