import pg from 'pg';
import { StoreClosedError, StoreError } from '../../base/errors.ts';
import { LogUnavailableError, UnfitEngineError } from '../../replicated/log/log-errors.ts';
import type { EngineFinding } from '../engine.ts';
import { unlessAborted } from '../lease-elector.ts';
import type { ResolvedPostgresOptions } from './postgres-options.ts';
import { examineSettings, SETTINGS_QUERY, type PostgresSettings } from './postgres-settings.ts';

/** Advisory lock that serialises the creation of the tables. */
const SCHEMA_LOCK = 0x6c6f6465;

/** A table of an engine's schema. */
export interface PostgresTable {
  readonly name: string;
  /** The statements that create it. */
  readonly statements: readonly string[];
}

export interface PostgresStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A row as the driver returns it. */
export type PostgresRow = Readonly<Record<string, unknown>>;

/**
 * Connections to the server that accepts writes. Each is checked before its first statement: a
 * standby or an unfit server is not used. A failed statement ends its connection, and the next one
 * may go to another server.
 */
export class PostgresPool {
  readonly options: ResolvedPostgresOptions;
  readonly #pools: readonly pg.Pool[];
  #current = 0;
  readonly #known: WeakSet<pg.PoolClient> = new WeakSet();
  /** Connections on which a write has been acknowledged. */
  readonly #confirmed: WeakSet<pg.PoolClient> = new WeakSet();
  readonly #ended = new AbortController();

  constructor(options: ResolvedPostgresOptions) {
    this.options = options;
    const { timeoutMs, maxConnections: max } = options;
    this.#pools = options.servers.map((connectionString) => {
      const pool = new pg.Pool({
        connectionString,
        max,
        connectionTimeoutMillis: timeoutMs,
        query_timeout: timeoutMs,
        keepAlive: true,
        application_name: 'lodestore',
        allowExitOnIdle: true,
      });
      // A failure of an idle connection is not an error of any call.
      pool.on('error', () => {});
      // Without a listener, a failure between two statements would end the process.
      pool.on('connect', (client) => client.on('error', () => {}));
      return pool;
    });
  }

  get description(): string {
    return `PostgreSQL at ${this.options.servers.map(nameOf).join(', ')}`;
  }

  /** Aborted when the pool is closed. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Runs one statement in its own transaction. */
  async query(
    text: string,
    values: readonly unknown[],
    signal?: AbortSignal,
  ): Promise<readonly PostgresRow[]> {
    return await this.#withClient(signal, async (client) => {
      const { rows } = await client.query<PostgresRow>(text, [...values]);
      return rows;
    });
  }

  /**
   * Runs a statement whose result must be on the standbys that commits wait for.
   *
   * A server that was restarted shows commits that no standby has, because recovery does not wait
   * for standbys. So `confirm`, a write, runs first on each new connection: when it is
   * acknowledged, the standbys have all that the server had before. Later commits show only when
   * they are acknowledged, and a restart ends all connections. `confirm` must lock one row that is
   * there, so that writes that wait for standbys do not accumulate.
   */
  async queryConfirmed(
    confirm: PostgresStatement,
    statement: PostgresStatement,
    signal: AbortSignal | undefined,
  ): Promise<readonly PostgresRow[]> {
    return await this.#withClient(signal, async (client) => {
      if (!this.#confirmed.has(client)) {
        const { rowCount } = await client.query(confirm.text, [...confirm.values]);
        if (rowCount === 1) this.#confirmed.add(client);
      }
      const { rows } = await client.query<PostgresRow>(statement.text, [...statement.values]);
      return rows;
    });
  }

  /** Connects once. */
  async requireServer(): Promise<void> {
    await this.#withClient(undefined, () => Promise.resolve());
  }

  /**
   * Creates the schema and the tables that do not exist. Runs no statement on a table that exists:
   * while it waits for its lock, it would hold up all later statements on the table.
   */
  async createTables(tables: readonly PostgresTable[]): Promise<void> {
    const { schema } = this.options;
    await this.#withClient(undefined, async (client) => {
      if ((await missingOf(client, schema, tables)).length === 0) return;
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
      // Another node may have created them since.
      for (const { statements } of await missingOf(client, schema, tables)) {
        for (const one of statements) await client.query(one);
      }
      await client.query('COMMIT');
    });
  }

  /** Checks all servers. */
  async examine(): Promise<EngineFinding[]> {
    const { servers } = this.options;
    const found = this.#pools.map(async (pool, i): Promise<EngineFinding[]> => {
      const server = nameOf(servers[i]!);
      try {
        const { rows } = await pool.query<PostgresSettings>(SETTINGS_QUERY);
        return examineSettings(server, rows[0]!);
      } catch (error) {
        const text = `${server}: ${(error as Error).message}`;
        return [{ check: 'endpoint', state: 'warning', text, remedy: 'start this server' }];
      }
    });
    return (await Promise.all(found)).flat();
  }

  async close(): Promise<void> {
    if (this.ended.aborted) return;
    this.#ended.abort();
    await Promise.all(this.#pools.map((pool) => pool.end()));
  }

  async #withClient<T>(
    signal: AbortSignal | undefined,
    act: (client: pg.PoolClient) => Promise<T>,
  ): Promise<T> {
    if (this.ended.aborted) throw closedError();
    signal?.throwIfAborted();
    try {
      return await unlessAborted(this.#run(act), signal);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      if (this.ended.aborted) throw closedError();
      if (error instanceof StoreError) throw error;
      const text = `${this.description}: ${(error as Error).message}`;
      throw new LogUnavailableError(text, { cause: error });
    }
  }

  async #run<T>(act: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    let failure: Error | undefined;
    try {
      return await act(client);
    } catch (error) {
      failure = error as Error;
      throw error;
    } finally {
      // The result of a statement that failed or timed out is unknown: do not reuse the connection.
      client.release(failure);
    }
  }

  /** A connection to the server that accepts writes. Each server is tried once. */
  async #connect(): Promise<pg.PoolClient> {
    let failure: unknown;
    for (let i = 0; i < this.#pools.length; i++) {
      const at = this.#current;
      try {
        const client = await this.#pools[at]!.connect();
        try {
          await this.#prepare(client, nameOf(this.options.servers[at]!));
          return client;
        } catch (error) {
          client.release(error as Error);
          throw error;
        }
      } catch (error) {
        if (error instanceof UnfitEngineError) throw error;
        failure = error;
        if (this.#current === at) this.#current = (at + 1) % this.#pools.length;
      }
    }
    throw failure;
  }

  async #prepare(client: pg.PoolClient, server: string): Promise<void> {
    if (this.#known.has(client)) return;
    const { rows } = await client.query<PostgresSettings>(SETTINGS_QUERY);
    const [settings] = rows;
    const unfit = examineSettings(server, settings!).find(({ state }) => state === 'unfit');
    if (unfit !== undefined)
      throw new UnfitEngineError(unfit.check, `${unfit.text}: ${unfit.remedy}`);
    if (settings!.isStandby) throw new Error(`${server} is a standby`);
    // Cancelling a statement that waits for standbys makes its commit visible without them. A wait
    // for a lock has no such effect, and must end: a server process that waits for either does not
    // notice that its client is gone. Each retry would add one behind a commit without standbys.
    const { timeoutMs } = this.options;
    // A session would follow a change of the server's setting, and no longer wait for its disk.
    const { synchronousCommit } = settings!;
    await client.query(
      `SET statement_timeout = 0; SET lock_timeout = ${timeoutMs};
       SET synchronous_commit = ${synchronousCommit}`,
    );
    this.#known.add(client);
  }
}

/** The tables that the schema does not have. */
async function missingOf(
  client: pg.PoolClient,
  schema: string,
  tables: readonly PostgresTable[],
): Promise<PostgresTable[]> {
  const names = tables.map(({ name }) => `${schema}.${name}`);
  const { rows } = await client.query<{ readonly missing: string }>(
    'SELECT missing FROM unnest($1::text[]) AS missing WHERE to_regclass(missing) IS NULL',
    [names],
  );
  const missing = new Set(rows.map((row) => row.missing));
  return tables.filter(({ name }) => missing.has(`${schema}.${name}`));
}

function closedError(): StoreClosedError {
  return new StoreClosedError('the connection to PostgreSQL is closed');
}

/** Host and port of a connection string. */
function nameOf(server: string): string {
  return new URL(server).host || 'a local socket';
}
