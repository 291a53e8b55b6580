import { describe, expect, onTestFinished, test } from 'vitest';
import { NatsEngine } from '../../src/adapters/nats/nats-engine.ts';
import type { NatsOptions } from '../../src/adapters/nats/nats-options.ts';
import {
  MAX_ENTRY_BYTES,
  unfitNatsPayload,
  unfitNatsVersion,
} from '../../src/adapters/nats/nats-examination.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import { engineSuite } from '../support/engines/engine-suite.ts';
import { isNatsFit, NatsCluster } from '../support/engines/nats-cluster.ts';

test('versions that cannot keep the guarantees are refused', () => {
  for (const version of ['2.9.10', '2.10.26', 'x']) expect(unfitNatsVersion(version)).toBeDefined();
  for (const version of ['2.10.27', '2.11.0', '3.0.0']) {
    expect(unfitNatsVersion(version)).toBeUndefined();
  }
});

test('a server that refuses the largest entry is unfit, before an append fails for ever', () => {
  expect(unfitNatsPayload(MAX_ENTRY_BYTES)).toMatch(/max_payload is 262144 bytes/);
  expect(unfitNatsPayload(1024 * 1024)).toBeUndefined();
});

test('invalid options are refused', async () => {
  const servers = ['127.0.0.1:1'];
  const wrong = [
    {},
    { servers: [] },
    { servers, replicas: 2 },
    { servers, prefix: 'a.b' },
    { servers, timeoutMs: 5 },
    { servers, monitor: 'x' },
  ];
  for (const options of wrong) {
    await expect(NatsEngine.connect(options as NatsOptions)).rejects.toThrow(/options/);
  }
  await expect(NatsEngine.connect({ servers })).rejects.toThrow(LogUnavailableError);
});

describe.skipIf(!isNatsFit())('lodestore/nats (needs nats-server 2.10.27)', () => {
  engineSuite('NATS at', async () => {
    const cluster = await NatsCluster.start();
    const { servers, monitors, nodes } = cluster;
    return {
      connect: () => NatsEngine.connect({ servers, monitors, replicas: 1, leaseMs: 1000 }),
      kill: () => nodes[0]!.kill(),
      restart: async () => {
        nodes[0]!.start();
        await cluster.untilReady();
      },
      stop: () => cluster.stop(),
    };
  });

  test('a server that does not sync each entry is refused if monitoring shows it', async () => {
    const lax = await NatsCluster.start({ syncInterval: '2m' });
    onTestFinished(() => lax.stop());
    const { servers, monitors } = lax;
    const expected = { name: 'UnfitEngineError', setting: 'sync_interval' };
    await expect(NatsEngine.connect({ servers, monitors })).rejects.toMatchObject(expected);
    const blind = await NatsEngine.connect({ servers });
    onTestFinished(() => blind.close());
    const findings = await blind.examine();
    expect(findings.map(({ check, state }) => `${check}: ${state}`)).toEqual([
      'endpoint: good',
      'sync: unknown',
    ]);
  });

  test('a server with a small max_payload is refused', async () => {
    const small = await NatsCluster.start({ maxPayloadBytes: 64 * 1024 });
    onTestFinished(() => small.stop());
    const { servers, monitors } = small;
    const expected = { name: 'UnfitEngineError', setting: 'max_payload' };
    await expect(NatsEngine.connect({ servers, monitors })).rejects.toMatchObject(expected);
  });
});
