import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { PostgresEngine } from '../../src/adapters/postgres/postgres-engine.ts';
import type { PostgresOptions } from '../../src/adapters/postgres/postgres-options.ts';
import { examineSettings } from '../../src/adapters/postgres/postgres-settings.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import {
  electorConformance,
  shardMapConformance,
  sharedLogConformance,
} from '../../src/testing/index.ts';
import { POSTGRES, PostgresServer } from '../support/engines/postgres-server.ts';

const never = (): AbortSignal => new AbortController().signal;

const AWAY = 'postgres://lodestore:secret@127.0.0.1:1/postgres';

test('options are checked', async () => {
  const servers = [AWAY];
  const wrong = [
    {},
    { servers: [] },
    { servers: ['127.0.0.1'] },
    { servers, schema: 'a b' },
    { servers, maxConnections: 1 },
    { servers, pollMs: 0 },
    { servers, host: 'x' },
  ];
  for (const options of wrong) {
    await expect(PostgresEngine.connect(options as PostgresOptions)).rejects.toThrow(/options/);
  }
  const connecting = PostgresEngine.connect({ servers });
  await expect(connecting).rejects.toThrow(LogUnavailableError);
  await expect(connecting).rejects.not.toThrow(/secret/);
});

test('settings that cannot keep the promise are unfit', () => {
  const fit = {
    version: 150_006,
    isStandby: false,
    synchronousCommit: 'on',
    fsync: 'on',
    fullPageWrites: 'on',
    standbyNames: 'ANY 1 (a, b)',
  };
  const unfit = (changed: Partial<typeof fit>): string[] =>
    examineSettings('s', { ...fit, ...changed })
      .filter(({ state }) => state === 'unfit')
      .map(({ check }) => check);
  expect(unfit({})).toEqual([]);
  expect(unfit({ synchronousCommit: 'remote_apply' })).toEqual([]);
  expect(unfit({ version: 140_012 })).toEqual(['version']);
  for (const value of ['off', 'local', 'remote_write']) {
    expect(unfit({ synchronousCommit: value })).toEqual(['synchronous_commit']);
  }
  expect(unfit({ fsync: 'off' })).toEqual(['fsync']);
  expect(unfit({ fullPageWrites: 'off' })).toEqual(['full_page_writes']);
});

describe.skipIf(POSTGRES === undefined)('lodestore/postgres (needs PostgreSQL 15)', () => {
  let server: PostgresServer;
  const engines: PostgresEngine[] = [];
  let names = 0;
  const connect = async (): Promise<PostgresEngine> => {
    const servers = [AWAY, server.url];
    const engine = await PostgresEngine.connect({ servers, leaseMs: 1000, maxConnections: 3 });
    engines.push(engine);
    return engine;
  };
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(async () => {
    for (const engine of engines) await engine.close();
    await server.stop();
  });

  describe('is a shared log', () => {
    const cases = sharedLogConformance(() => {
      const name = `log-${names++}`;
      return { open: async () => (await connect()).log(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });

  describe('has elections', () => {
    const cases = electorConformance(() => {
      const name = `election-${names++}`;
      return { open: async () => (await connect()).elector(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());

    test('another is elected when the winner is away', async () => {
      const engine = await connect();
      const { lost } = await engine.elector('e').campaign('first', { signal: never() });
      const other = (await connect()).elector('e').campaign('second', { signal: never() });
      await engine.close();
      await Promise.all([lost, other]);
      expect(engine.description).toContain('PostgreSQL at');
    });
  });

  describe('has shard maps', () => {
    const cases = shardMapConformance(() => {
      const name = `map-${names++}`;
      return { open: async () => (await connect()).shardMap(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });

  test('many open at once: the tables are made once', async () => {
    const { url } = server;
    const open = (): Promise<PostgresEngine> =>
      PostgresEngine.connect({ servers: [url], schema: 'fresh' });
    const opened = await Promise.all([open(), open(), open(), open()]);
    for (const engine of opened) await engine.close();
    expect(opened).toHaveLength(4);
  });

  test('the log goes on after the server was killed', async () => {
    const log = await (await connect()).log('killed');
    for (let p = 1n; p <= 20n; p++) await log.append(p, Buffer.from(`entry ${p}`));
    await server.node.kill('SIGQUIT');
    await expect(log.append(21n, Buffer.from('late'))).rejects.toThrow(LogUnavailableError);
    await server.restart();
    await expect.poll(() => log.append(21n, Buffer.from('late')).catch(String)).toBe('appended');
    expect(await log.bounds()).toEqual({ first: 1n, last: 21n });
  });

  test('a server that does not wait for its disk is refused', async () => {
    const lax = await PostgresServer.start(['synchronous_commit=off']);
    onTestFinished(() => lax.stop());
    const expected = { name: 'UnfitEngineError', setting: 'synchronous_commit' };
    await expect(PostgresEngine.connect({ servers: [lax.url] })).rejects.toMatchObject(expected);
  });

  test('the examination says what is right and what is not', async () => {
    const findings = await (await connect()).examine();
    expect(findings.map(({ check, state }) => `${check}: ${state}`)).toEqual([
      'endpoint: warning',
      'version: good',
      'synchronous_commit: good',
      'fsync: good',
      'full_page_writes: good',
      'synchronous_standby_names: warning',
    ]);
  });
});
