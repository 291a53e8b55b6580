import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { PostgresEngine } from '../../src/adapters/postgres/postgres-engine.ts';
import type { PostgresOptions } from '../../src/adapters/postgres/postgres-options.ts';
import { examineSettings } from '../../src/adapters/postgres/postgres-settings.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import type { SharedLog } from '../../src/replicated/log/shared-log.ts';
import { HOOK_MS } from '../support/engines/engine-process.ts';
import { engineSuite } from '../support/engines/engine-suite.ts';
import { POSTGRES, PostgresServer } from '../support/engines/postgres-server.ts';

const AWAY = 'postgres://lodestore:secret@127.0.0.1:1/postgres';

test('invalid options are refused', async () => {
  const servers = [AWAY];
  const wrong = [
    {},
    { servers: [] },
    { servers: ['127.0.0.1'] },
    { servers, schema: 'a b' },
    { servers, maxConnections: 1 },
    { servers, pollMs: 0 },
    { servers, createTables: 'no' },
    { servers, host: 'x' },
  ];
  for (const options of wrong) {
    await expect(PostgresEngine.connect(options as PostgresOptions)).rejects.toThrow(/options/);
  }
  const connecting = PostgresEngine.connect({ servers });
  await expect(connecting).rejects.toThrow(LogUnavailableError);
  await expect(connecting).rejects.not.toThrow(/secret/);
});

test('settings that cannot keep the guarantees are unfit', () => {
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
  let url = '';
  const connect = engineSuite('PostgreSQL at', async () => {
    const server = await PostgresServer.start();
    url = server.url;
    const servers = [AWAY, url];
    return {
      connect: () => PostgresEngine.connect({ servers, leaseMs: 1000, maxConnections: 3 }),
      kill: () => server.node.kill('SIGQUIT'),
      restart: () => server.restart(),
      stop: () => server.stop(),
    };
  });

  test('many concurrent opens create the tables once', async () => {
    const open = (): Promise<PostgresEngine> =>
      PostgresEngine.connect({ servers: [url], schema: 'fresh' });
    const opened = await Promise.all([open(), open(), open(), open()]);
    for (const engine of opened) await engine.close();
    expect(opened).toHaveLength(4);
  });

  test('a log is looked for without creating anything', async () => {
    const look = { servers: [url], createTables: false };
    const nowhere = await PostgresEngine.connect({ ...look, schema: 'nowhere' });
    onTestFinished(() => nowhere.close());
    const missing = { code: 'LODESTORE_NOT_FOUND' };
    await expect(nowhere.log('none', { create: false })).rejects.toMatchObject(missing);
    const client = new pg.Client(url);
    await client.connect();
    onTestFinished(() => client.end());
    const query = "SELECT FROM information_schema.schemata WHERE schema_name = 'nowhere'";
    expect((await client.query(query)).rowCount).toBe(0);
    await (await (await connect()).log('there')).append(1n, Buffer.from('one'));
    const engine = await PostgresEngine.connect(look);
    onTestFinished(() => engine.close());
    for (let i = 0; i < 2; i++) {
      await expect(engine.log('none', { create: false })).rejects.toMatchObject(missing);
    }
    const found = await engine.log('there', { create: false });
    expect(await found.bounds()).toEqual({ first: 1n, last: 1n });
    await expect(PostgresEngine.connect({ ...look, servers: [AWAY] })).rejects.toThrow(
      LogUnavailableError,
    );
  });

  test('another node connects during a long transaction, and holds up nobody', async () => {
    const log = await (await connect()).log('busy');
    expect(await log.append(1n, Buffer.from('one'))).toBe('appended');
    const dump = new pg.Client(url);
    await dump.connect();
    onTestFinished(() => dump.end());
    await dump.query('BEGIN');
    await dump.query('SELECT count(*) FROM lodestore.log_entry');
    const other = await PostgresEngine.connect({ servers: [url] });
    onTestFinished(() => other.close());
    expect(await log.append(2n, Buffer.from('two'))).toBe('appended');
    expect(await (await other.log('busy')).bounds()).toEqual({ first: 1n, last: 2n });
  });

  test('a server that does not wait for its disk is refused', async () => {
    const lax = await PostgresServer.start(['synchronous_commit=off']);
    onTestFinished(() => lax.stop());
    const expected = { name: 'UnfitEngineError', setting: 'synchronous_commit' };
    await expect(PostgresEngine.connect({ servers: [lax.url] })).rejects.toMatchObject(expected);
  });

  test('a session waits for its disk although the server is told later not to', async () => {
    const server = await PostgresServer.start();
    onTestFinished(() => server.stop());
    const engine = await PostgresEngine.connect({ servers: [server.url], maxConnections: 2 });
    onTestFinished(() => engine.close());
    const log = await engine.log('lasting');
    expect(await log.append(1n, Buffer.from('one'))).toBe('appended');
    await server.query('CREATE TABLE public.seen (value text)');
    await server.query(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$`);
    await server.query(`CREATE TRIGGER note BEFORE INSERT ON lodestore.log_entry
      FOR EACH ROW EXECUTE FUNCTION note()`);
    await server.query('ALTER SYSTEM SET synchronous_commit = off');
    await server.query('SELECT pg_reload_conf()');
    expect(await log.append(2n, Buffer.from('two'))).toBe('appended');
    expect(await server.query('SELECT value FROM public.seen')).toEqual([{ value: 'on' }]);
  });

  test('a log that a server does not have is away: the node waits for another server', async () => {
    const log = await (await connect()).log('gone');
    const client = new pg.Client(url);
    await client.connect();
    onTestFinished(() => client.end());
    await client.query("DELETE FROM lodestore.log_end WHERE log = 'gone'");
    await expect(log.bounds()).rejects.toThrow(LogUnavailableError);
  });

  test('the examination reports good and bad settings', async () => {
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

describe.skipIf(POSTGRES === undefined)('lodestore/postgres without its standby', () => {
  let server: PostgresServer | undefined;
  beforeAll(async () => {
    server = await PostgresServer.start();
  }, HOOK_MS);
  afterAll(() => server?.stop(), HOOK_MS);

  /** Opens a log in which every call ends soon. */
  async function openLog(name: string): Promise<SharedLog> {
    const engine = await PostgresEngine.connect({ servers: [server!.url], timeoutMs: 800 });
    onTestFinished(() => engine.close());
    const log = await engine.log(name);
    onTestFinished(() => server!.waitForStandbys(''));
    await server!.waitForStandbys('missing');
    return log;
  }

  async function countBackends(condition: string): Promise<number> {
    const text = `SELECT count(*)::int AS count FROM pg_stat_activity WHERE ${condition}`;
    const [row] = await server!.query(text);
    return Number(row!['count']);
  }

  /** Appends until an append waits for the standby. Resolves to its position. */
  async function appendUntilStuck(log: SharedLog, entry: Buffer): Promise<bigint> {
    for (let position = 1n; ;) {
      const result = await log.append(position, entry).catch(() => 'unknown');
      if (result === 'appended') position++;
      if ((await countBackends("wait_event = 'SyncRep'")) > 0) return position;
    }
  }

  test('retries of an append leave no processes behind at the server', async () => {
    const log = await openLog('stuck');
    const entry = Buffer.from('stuck');
    const position = await appendUntilStuck(log, entry);
    for (let round = 0; round < 2; round++) {
      const retries = Array.from({ length: 4 }, () => log.append(position, entry));
      const results = await Promise.allSettled(retries);
      for (const result of results) {
        expect(result).toMatchObject({ reason: { name: 'LogUnavailableError' } });
      }
    }
    const isOurs = "application_name = 'lodestore'";
    // The first append cannot be ended without showing its entry.
    await expect.poll(() => countBackends(isOurs)).toBeLessThanOrEqual(2);
    await server!.waitForStandbys('');
    await expect.poll(() => log.append(position, entry).catch(String)).toBe('appended');
  });

  test('an entry that no standby has is not read after a restart of the server', async () => {
    const log = await openLog('restarted');
    const position = await appendUntilStuck(log, Buffer.from('on no standby'));
    await server!.node.kill('SIGQUIT');
    await server!.restart();
    const condition = `log = 'restarted' AND position = ${position}`;
    const text = `SELECT position FROM lodestore.log_entry WHERE ${condition}`;
    expect(await server!.query(text)).toHaveLength(1);
    const first = async (): Promise<bigint> => {
      for await (const entry of log.read(position)) return entry.position;
      throw new Error('a reader ends by an error only');
    };
    await expect(first()).rejects.toThrow(LogUnavailableError);
    await expect(log.append(position, Buffer.from('on no standby'))).rejects.toThrow(
      LogUnavailableError,
    );
    await server!.waitForStandbys('');
    await expect.poll(() => first().catch(String)).toBe(position);
  });
});
