import { expect, test } from 'vitest';
import { Signal } from '../../src/replicated/node/signal.ts';

test('every wait has the first result, before and after it comes', async () => {
  const signal = new Signal<number>();
  const waits = [signal.wait(), signal.wait(new AbortController().signal)];
  signal.resolve(1);
  signal.resolve(2);
  signal.reject(new Error('late'));
  expect(await Promise.all([...waits, signal.wait(AbortSignal.abort())])).toEqual([1, 1, 1]);
});

test('a wait is aborted alone', async () => {
  const signal = new Signal<number>();
  const aborting = new AbortController();
  const [aborted, other] = [signal.wait(aborting.signal), signal.wait()];
  aborting.abort('reason');
  const expected = { code: 'LODESTORE_ABORTED', cause: 'reason' };
  await expect(aborted).rejects.toMatchObject(expected);
  await expect(signal.wait(aborting.signal)).rejects.toMatchObject(expected);
  signal.resolve(3);
  expect(await other).toBe(3);
});

test('a rejection need not be handled', async () => {
  const signal = new Signal();
  signal.reject(new Error('failed'));
  await expect(signal.wait()).rejects.toThrow('failed');
});
