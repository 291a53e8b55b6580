import { afterEach, expect, test, vi } from 'vitest';
import type { EtcdGateway } from '../../src/adapters/etcd/etcd-gateway.ts';
import { LogKeys } from '../../src/adapters/etcd/etcd-keys.ts';
import { EtcdReader } from '../../src/adapters/etcd/etcd-reader.ts';

vi.mock('../../src/base/timers.ts', async (original) => {
  const { fakeable } = await import('../support/fakeable-timers.ts');
  return fakeable(await original());
});

afterEach(() => {
  vi.useRealTimers();
});

test('a reader whose watches end at once waits before the next one', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const calls = { ranges: 0, watches: 0 };
  const gateway = {
    call: () => {
      calls.ranges++;
      return Promise.resolve({ header: { revision: '7' } });
    },
    watch: async function* () {
      await Promise.resolve();
      calls.watches++;
      yield { canceled: true };
    },
  } as unknown as EtcdGateway;
  const ending = new AbortController();
  const reader = new EtcdReader(gateway, new LogKeys('', 'log'), 1n, ending.signal);
  const reading = reader.entries().next();
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  expect(calls).toEqual({ ranges: 1, watches: 1 });
  await vi.advanceTimersByTimeAsync(100);
  expect(calls).toEqual({ ranges: 2, watches: 2 });
  ending.abort(new Error('over'));
  await expect(reading).rejects.toThrow('over');
});
