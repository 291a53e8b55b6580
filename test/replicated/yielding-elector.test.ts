import { expect, test } from 'vitest';
import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { Signal } from '../../src/replicated/node/signal.ts';
import { YieldingElector } from '../../src/replicated/shards/yielding-elector.ts';
import { deferred } from '../support/deferred.ts';

/** An elector of a node whose map wants another one, and timers that ring when the test says so. */
function electorOfAnother() {
  const timers = new Set<() => void>();
  const clock = clockOf((_, ring) => {
    timers.add(ring);
    return () => timers.delete(ring);
  });
  const losses: (() => void)[] = [];
  const elector = {
    campaign: async () => {
      const { promise, resolve } = deferred<void>();
      losses.push(resolve);
      return { lost: promise };
    },
  };
  const begun = new Signal();
  const wanted = (): string => 'a';
  const yielding = new YieldingElector({ elector, clock, wanted, pollMs: 5, begun });
  const settled = (): Promise<void> => new Promise((go) => setImmediate(go));
  const ring = async (): Promise<void> => {
    await settled();
    const due = [...timers];
    timers.clear();
    for (const one of due) one();
    await settled();
  };
  return { yielding, begun, losses, ring };
}

test('a node takes part in elections when the program has the store', async () => {
  const { yielding, begun, losses, ring } = electorOfAnother();
  const ending = new AbortController();
  const ended = yielding.campaign('b', { signal: ending.signal });
  for (let look = 0; look < 9; look++) await ring();
  expect(losses.length).toBe(0);
  ending.abort();
  await expect(ended).rejects.toMatchObject({ code: 'LODESTORE_ABORTED' });
  begun.resolve();
  void yielding.campaign('b', new AbortController());
  for (let look = 0; look < 5; look++) await ring();
  expect(losses.length).toBe(1);
});

test.for(['lost', 'given up'])('a node yields anew after a term that was %s', async (how) => {
  const { yielding, begun, losses, ring } = electorOfAnother();
  begun.resolve();
  const term = new AbortController();
  const elected = yielding.campaign('b', { signal: term.signal });
  for (let look = 0; look < 5; look++) {
    expect(losses.length).toBe(0);
    await ring();
  }
  const { lost } = await elected;
  expect([losses.length, yielding.isElected]).toEqual([1, true]);
  if (how === 'lost') {
    losses[0]!();
    await lost;
  } else term.abort();
  void yielding.campaign('b', new AbortController());
  for (let look = 0; look < 5; look++) {
    expect(losses.length).toBe(1);
    await ring();
  }
  expect(losses.length).toBe(2);
});
