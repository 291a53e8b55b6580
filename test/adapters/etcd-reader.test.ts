import { expect, test, vi } from 'vitest';
import type { EtcdGateway } from '../../src/adapters/etcd/etcd-gateway.ts';
import { LogKeys } from '../../src/adapters/etcd/etcd-keys.ts';
import { EtcdReader } from '../../src/adapters/etcd/etcd-reader.ts';

test('a reader whose watches end at once waits before the next one', async () => {
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
  // No timer can ring meanwhile.
  for (let turn = 0; turn < 1_000; turn++) await Promise.resolve();
  expect(calls).toEqual({ ranges: 1, watches: 1 });
  await vi.waitFor(() => expect(calls.watches).toBeGreaterThan(1));
  ending.abort(new Error('over'));
  await expect(reading).rejects.toThrow('over');
});
