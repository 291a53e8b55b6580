import { afterEach, expect, test } from 'vitest';
import { Appender } from '../../src/replicated/node/appender.ts';
import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { SimulatedLog, type SimulatedConnection } from '../../src/testing/index.ts';

/** Each timer rings after a turn of the event loop, in which the simulated engine has answered. */
const CLOCK = clockOf((_, ring) => {
  const turn = setImmediate(ring);
  return () => clearImmediate(turn);
});

const BYTES = new Uint8Array(100).fill(7);
const NONCE = new Uint8Array(16).fill(7);

let ending = new AbortController();

afterEach(() => {
  ending.abort();
  ending = new AbortController();
});

function appendTo(log: SimulatedConnection, position: bigint) {
  const failures: unknown[] = [];
  const onUnavailable = (error: unknown): void => void failures.push(error);
  const appender = new Appender({ log, clock: CLOCK, lostAfterMs: 50, onUnavailable });
  const { signal } = ending;
  return { failures, result: appender.append(position, BYTES, NONCE, signal) };
}

test('an append is repeated if its position was called occupied and turns out to be free', async () => {
  const log = new SimulatedLog();
  const connection = log.connect();
  const append = connection.append.bind(connection);
  let asked = 0;
  // The engine looked at an older end of the log.
  connection.append = (...given) => (++asked > 2 ? append(...given) : Promise.resolve('occupied'));
  const { result, failures } = appendTo(connection, 1n);
  expect(await result).toBe('ours');
  expect([asked, failures.length, log.bounds.last]).toEqual([3, 2, 1n]);
});

test('an occupied position is that of the entry that is there', async () => {
  const log = new SimulatedLog();
  await log.connect().append(1n, new Uint8Array(100));
  expect(await appendTo(log.connect(), 1n).result).toBe('other');
  expect(log.bounds.last).toBe(1n);
});

test('a log that ends before the preceding entry has lost it', async () => {
  const log = new SimulatedLog();
  await expect(appendTo(log.connect(), 3n).result).rejects.toMatchObject({
    code: 'LODESTORE_LOG_LOST',
    position: 3n,
  });
});
