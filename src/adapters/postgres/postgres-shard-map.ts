import { StoreClosedError } from '../../base/errors.ts';
import {
  MAX_SHARD_MAP_BYTES,
  type ShardMapCallOptions,
  type ShardMapStore,
  type StoredShardMap,
} from '../../replicated/shards/shard-map-store.ts';
import { checkEntry, checkPosition } from '../checks.ts';
import { asBuffer } from './postgres-log.ts';
import type { PostgresPool, PostgresRow, PostgresTable } from './postgres-pool.ts';

export function mapTable(schema: string): PostgresTable {
  const columns = 'name text PRIMARY KEY, version bigint NOT NULL, bytes bytea NOT NULL';
  return { name: 'shard_map', statements: [`CREATE TABLE ${schema}.shard_map (${columns})`] };
}

/** A row with a version that each replacement increments. */
export class PostgresShardMap implements ShardMapStore {
  readonly #pool: PostgresPool;
  readonly #name: string;
  #isClosed = false;

  constructor(pool: PostgresPool, name: string) {
    this.#pool = pool;
    this.#name = name;
  }

  async read({ signal }: ShardMapCallOptions = {}): Promise<StoredShardMap | undefined> {
    this.#checkOpen();
    const values = [this.#name];
    // A map that no standby has may be lost, and another one get its version.
    const confirm = `UPDATE ${this.#table} SET version = version WHERE name = $1`;
    const text = `SELECT version, bytes FROM ${this.#table} WHERE name = $1`;
    const [row] = await this.#pool.queryConfirmed(
      { text: confirm, values },
      { text, values },
      signal,
    );
    if (row === undefined) return undefined;
    const bytes = new Uint8Array(row['bytes'] as Buffer);
    return { bytes, version: BigInt(row['version'] as string) };
  }

  async replace(
    expected: bigint,
    bytes: Uint8Array,
    { signal }: ShardMapCallOptions = {},
  ): Promise<'replaced' | 'conflict'> {
    const version = checkPosition(expected, 'expected');
    const map = asBuffer(checkEntry(bytes, MAX_SHARD_MAP_BYTES));
    const replaced =
      version === 0n
        ? await this.#query(
            `INSERT INTO ${this.#table} VALUES ($1, 1, $2) ON CONFLICT DO NOTHING RETURNING version`,
            [this.#name, map],
            signal,
          )
        : await this.#query(
            `UPDATE ${this.#table} SET version = version + 1, bytes = $2
               WHERE name = $1 AND version = $3 RETURNING version`,
            [this.#name, map, String(version)],
            signal,
          );
    return replaced.length === 1 ? 'replaced' : 'conflict';
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  get #table(): string {
    return `${this.#pool.options.schema}.shard_map`;
  }

  async #query(
    text: string,
    values: readonly unknown[],
    signal: AbortSignal | undefined,
  ): Promise<readonly PostgresRow[]> {
    this.#checkOpen();
    return await this.#pool.query(text, values, signal);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreClosedError('the map is closed');
  }
}
