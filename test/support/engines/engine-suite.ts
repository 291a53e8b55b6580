import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReplicationEngine } from '../../../src/adapters/engine.ts';
import { LogUnavailableError } from '../../../src/replicated/log/log-errors.ts';
import {
  electorConformance,
  shardMapConformance,
  sharedLogConformance,
} from '../../../src/testing/index.ts';
import { HOOK_MS } from './engine-process.ts';

/** An engine that runs on this machine. */
export interface RunningEngine<Engine extends ReplicationEngine> {
  /** Leases of the connection last about a second. */
  readonly connect: () => Promise<Engine>;
  readonly kill: () => Promise<void>;
  /** Starts killed servers, and waits until they answer. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/**
 * Runs the tests that every adapter must pass, on an engine that runs during the tests of the
 * enclosing `describe`. Returns a function that connects to it; connections are closed after the
 * tests.
 */
export function engineSuite<Engine extends ReplicationEngine>(
  product: string,
  start: () => Promise<RunningEngine<Engine>>,
): () => Promise<Engine> {
  let running: RunningEngine<Engine> | undefined;
  let names = 0;
  const engines: Engine[] = [];
  const connect = async (): Promise<Engine> => {
    const engine = await running!.connect();
    engines.push(engine);
    return engine;
  };
  beforeAll(async () => {
    running = await start();
  }, HOOK_MS);
  afterAll(async () => {
    // The servers end first if a connection does not.
    await Promise.race([Promise.all(engines.map((engine) => engine.close())), late()]);
    await running?.stop();
  }, HOOK_MS);

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

    test('another candidate is elected when the winner is gone', async () => {
      const { signal } = new AbortController();
      const engine = await connect();
      const { lost } = await engine.elector('e').campaign('first', { signal });
      const other = (await connect()).elector('e').campaign('second', { signal });
      await engine.close();
      await Promise.all([lost, other]);
      expect(engine.description).toContain(product);
    });
  });

  describe('has shard maps', () => {
    const cases = shardMapConformance(() => {
      const name = `map-${names++}`;
      return { open: async () => (await connect()).shardMap(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });

  test('the log continues after the server was killed', async () => {
    const log = await (await connect()).log('killed');
    for (let p = 1n; p <= 20n; p++) await log.append(p, Buffer.from(`entry ${p}`));
    await running!.kill();
    await expect(log.append(21n, Buffer.from('late'))).rejects.toThrow(LogUnavailableError);
    await running!.restart();
    await expect.poll(() => log.append(21n, Buffer.from('late')).catch(String)).toBe('appended');
    expect(await log.bounds()).toEqual({ first: 1n, last: 21n });
  });
  return connect;
}

async function late(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, HOOK_MS / 3).unref();
  });
}
