import { expect, test } from 'vitest';
import { readSettled } from '../../src/store/recovery/settled-reading.ts';
import { nth } from '../support/nth.ts';
import { CorruptionError, StoreError } from '../../src/index.ts';

/** Returns the outcomes one after another, then the last one forever. An Error is thrown. */
function reader(outcomes: readonly (readonly string[] | Error)[]): {
  read: () => Promise<readonly string[]>;
  count: () => number;
} {
  let count = 0;
  const read = async (): Promise<readonly string[]> => {
    const outcome = nth(outcomes, Math.min(count++, outcomes.length - 1));
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  return { read, count: () => count };
}

function settle(outcomes: readonly (readonly string[] | Error)[]): {
  result: Promise<readonly string[]>;
  count: () => number;
} {
  const { read, count } = reader(outcomes);
  return { result: readSettled('/s', read, (faults) => faults), count };
}

function gone(path: string): Error {
  return Object.assign(new Error('gone'), { code: 'ENOENT', path });
}

function damage(offset: number): CorruptionError {
  return new CorruptionError({ path: '/s/log', offset, reason: 'bad', hint: '' });
}

test('one sound reading is enough', async () => {
  const { result, count } = settle([[]]);
  expect(await result).toEqual([]);
  expect(count()).toBe(1);
});

test('a fault that the next reading does not find is ignored', async () => {
  expect(await settle([['a'], []]).result).toEqual([]);
  expect(await settle([gone('/s/log'), []]).result).toEqual([]);
  expect(await settle([damage(1), []]).result).toEqual([]);
});

test('a fault found twice is reported', async () => {
  const { result, count } = settle([['a'], ['a']]);
  expect(await result).toEqual(['a']);
  expect(count()).toBe(2);
  await expect(settle([damage(1)]).result).rejects.toBeInstanceOf(CorruptionError);
  await expect(settle([gone('/s/x')]).result).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a repeated fault is reported among others that vary', async () => {
  const readings = ['b', 'c', 'd', 'e', 'f'].map((passing) => ['a', passing]);
  expect(await settle(readings).result).toEqual(['a', 'f']);
});

test('a directory that keeps changing is not reported as damaged', async () => {
  const { result, count } = settle([damage(1), damage(2), damage(3), gone('/s/x'), damage(5)]);
  await expect(result).rejects.toMatchObject({ code: 'LODESTORE_IO' });
  await expect(result).rejects.toThrow('try again');
  expect(count()).toBe(5);
});

test('other errors are not retried', async () => {
  const { result, count } = settle([new StoreError('LODESTORE_IO', 'EIO'), []]);
  await expect(result).rejects.toThrow('EIO');
  expect(count()).toBe(1);
});
