import { randomUUID } from 'node:crypto';
import type { Elector } from '../../replicated/log/elector.ts';
import type { SharedLog } from '../../replicated/log/shared-log.ts';
import type { ShardMapStore } from '../../replicated/shards/shard-map-store.ts';
import { checkName } from '../checks.ts';
import type { EngineFinding, OpenLogOptions, ReplicationEngine } from '../engine.ts';
import { LeaseElector, type LeaseClaim } from '../lease-elector.ts';
import { logTables, PostgresLog } from './postgres-log.ts';
import { resolvePostgresOptions, type PostgresOptions } from './postgres-options.ts';
import { PostgresPool, type PostgresTable } from './postgres-pool.ts';
import { mapTable, PostgresShardMap } from './postgres-shard-map.ts';

/**
 * Shared logs, elections and shard maps in PostgreSQL 15 or newer. Entries survive the loss of the
 * machine if the cluster fails over only to a standby that `synchronous_standby_names` waits for.
 */
export class PostgresEngine implements ReplicationEngine {
  readonly #pool: PostgresPool;

  private constructor(pool: PostgresPool) {
    this.#pool = pool;
  }

  /**
   * Connects to the server that accepts writes, and creates the tables that do not exist, unless
   * `createTables` is false. The user needs no right to create any if all exist.
   * @throws UnfitEngineError if that server is older than 15, or runs without `synchronous_commit`,
   *   `fsync` or `full_page_writes`.
   * @throws LogUnavailableError if none answers.
   */
  static async connect(options: PostgresOptions): Promise<PostgresEngine> {
    const pool = new PostgresPool(resolvePostgresOptions(options));
    const { schema, createTables } = pool.options;
    const tables = [...logTables(schema), mapTable(schema), leaseTable(schema)];
    try {
      if (createTables) await pool.createTables(tables);
      else await pool.requireServer();
    } catch (error) {
      await pool.close();
      throw error;
    }
    return new PostgresEngine(pool);
  }

  get description(): string {
    return this.#pool.description;
  }

  log(name: string, options: OpenLogOptions = {}): Promise<SharedLog> {
    return PostgresLog.open(this.#pool, checkName(name), options);
  }

  elector(name: string): Elector {
    const pool = this.#pool;
    checkName(name);
    const claim = (id: string): LeaseClaim => new PostgresClaim(pool, name, id);
    return new LeaseElector({ leaseMs: pool.options.leaseMs, ended: pool.ended, claim });
  }

  shardMap(name: string): ShardMapStore {
    return new PostgresShardMap(this.#pool, checkName(name));
  }

  examine(): Promise<readonly EngineFinding[]> {
    return this.#pool.examine();
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

function leaseTable(schema: string): PostgresTable {
  const columns = 'name text PRIMARY KEY, id text NOT NULL, claim uuid NOT NULL';
  const create = `CREATE TABLE ${schema}.primary_lease (${columns}, ends timestamptz NOT NULL)`;
  return { name: 'primary_lease', statements: [create] };
}

/** A row with an expiry time by the server's clock. */
class PostgresClaim implements LeaseClaim {
  readonly #pool: PostgresPool;
  readonly #name: string;
  readonly #id: string;
  readonly #claim = randomUUID();

  constructor(pool: PostgresPool, name: string, id: string) {
    this.#pool = pool;
    this.#name = name;
    this.#id = id;
  }

  async hold(): Promise<boolean> {
    const { schema, leaseMs } = this.#pool.options;
    const held = await this.#pool.query(
      `INSERT INTO ${schema}.primary_lease AS held
         VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 millisecond')
       ON CONFLICT (name) DO UPDATE SET id = excluded.id, claim = excluded.claim, ends = excluded.ends
         WHERE held.claim = excluded.claim OR held.ends < clock_timestamp()
       RETURNING claim`,
      [this.#name, this.#id, this.#claim, leaseMs],
    );
    return held.length === 1;
  }

  async release(): Promise<void> {
    const { schema } = this.#pool.options;
    const text = `DELETE FROM ${schema}.primary_lease WHERE name = $1 AND claim = $2`;
    await this.#pool.query(text, [this.#name, this.#claim]);
  }
}
