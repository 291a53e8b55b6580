import { PositionExpiredError, StoreClosedError, StoreError } from '../../base/errors.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import type {
  LogBounds,
  LogEntry,
  SharedLog,
  SharedLogOptions,
} from '../../replicated/log/shared-log.ts';
import { onAbort } from '../../base/abort.ts';
import { checkEntry, checkPosition } from '../checks.ts';
import type { OpenLogOptions } from '../engine.ts';
import { pulse } from '../pulse.ts';
import type { PostgresPool, PostgresRow, PostgresTable } from './postgres-pool.ts';

const MAX_ENTRY_BYTES: number = 256 * 1024;

const PAGE_ROWS = 256;
/** A page ends with the entry that exceeds this many bytes. */
const PAGE_BYTES: number = 4 * 1024 * 1024;
/** The first wait at the end of the log; each further one is twice as long. */
const FIRST_WAIT_MS = 5;

/** The tables of logs. The end of a log is a row, so that an append can lock and check it. */
export function logTables(schema: string): PostgresTable[] {
  return [
    {
      name: 'log_end',
      statements: [`CREATE TABLE ${schema}.log_end (log text PRIMARY KEY, last bigint NOT NULL)`],
    },
    {
      name: 'log_entry',
      statements: [
        `CREATE TABLE ${schema}.log_entry (
           log text NOT NULL, position bigint NOT NULL, entry bytea NOT NULL,
           PRIMARY KEY (log, position))`,
        // Entries are already compressed.
        `ALTER TABLE ${schema}.log_entry ALTER COLUMN entry SET STORAGE EXTERNAL`,
      ],
    },
  ];
}

/**
 * A log in two tables. An append is one statement: it moves the end of the log from p - 1 to p,
 * which locks the row, and inserts entry p if that row was updated. A rival waits for the lock,
 * then sees the new end and updates nothing.
 */
export class PostgresLog implements SharedLog {
  readonly maxEntryBytes: number = MAX_ENTRY_BYTES;
  readonly #pool: PostgresPool;
  readonly #name: string;
  readonly #closed = new AbortController();

  private constructor(pool: PostgresPool, name: string) {
    this.#pool = pool;
    this.#name = name;
  }

  /** @throws StoreError `LODESTORE_NOT_FOUND` if it does not exist and must not be created */
  static async open(
    pool: PostgresPool,
    name: string,
    { create = true }: OpenLogOptions,
  ): Promise<PostgresLog> {
    const table = `${pool.options.schema}.log_end`;
    if (!create) {
      await requireLog(pool, table, name);
      return new PostgresLog(pool, name);
    }
    // An insert would wait for an append in progress, although the row is there.
    const known = await pool.query(`SELECT last FROM ${table} WHERE log = $1`, [name]);
    if (known.length === 0) {
      await pool.query(`INSERT INTO ${table} VALUES ($1, 0) ON CONFLICT DO NOTHING`, [name]);
    }
    return new PostgresLog(pool, name);
  }

  async append(
    position: bigint,
    entry: Uint8Array,
    { signal }: SharedLogOptions = {},
  ): Promise<'appended' | 'occupied'> {
    if (checkPosition(position, 'position') === 0n)
      throw new RangeError('position must be at least 1');
    const bytes = asBuffer(checkEntry(entry, MAX_ENTRY_BYTES));
    const { schema } = this.#pool.options;
    const moved = await this.#query(
      `WITH moved AS (UPDATE ${schema}.log_end SET last = $2
         WHERE log = $1 AND last = $2::bigint - 1 RETURNING log)
       INSERT INTO ${schema}.log_entry SELECT log, $2, $3 FROM moved RETURNING position`,
      [this.#name, String(position), bytes],
      signal,
    );
    if (moved.length === 1) return 'appended';
    // An append whose response was lost. Entries contain a nonce, so equal bytes mean our entry.
    // It may show and be on no standby. The standbys have what an acknowledged write has seen: one
    // statement, because two may run on two servers.
    const confirmed = await this.#query(
      `UPDATE ${schema}.log_end SET last = last WHERE log = $1 AND EXISTS (
         SELECT FROM ${schema}.log_entry WHERE log = $1 AND position = $2 AND entry = $3)
       RETURNING log`,
      [this.#name, String(position), bytes],
      signal,
    );
    return confirmed.length === 1 ? 'appended' : 'occupied';
  }

  async *read(from: bigint, { signal }: SharedLogOptions = {}): AsyncGenerator<LogEntry> {
    let next = checkPosition(from, 'from') === 0n ? 1n : from;
    const { pollMs } = this.#pool.options;
    const wake = new AbortController();
    const end = (): void => wake.abort();
    const ends = [this.#closed.signal, this.#pool.ended, signal];
    const removals = ends.map((one) => one && onAbort(one, end));
    let waitMs = FIRST_WAIT_MS;
    try {
      for (;;) {
        const rows = await this.#page(next, signal);
        for (const { position, entry } of rows) {
          if (BigInt(position as string) !== next) throw await this.#expired(next);
          yield { position: next++, entry: new Uint8Array(entry as Buffer) };
          signal?.throwIfAborted();
        }
        if (rows.length > 0) {
          waitMs = FIRST_WAIT_MS;
          continue;
        }
        const { first } = await this.bounds({ signal });
        if (next < first) throw await this.#expired(next);
        await pulse(Math.min(waitMs, pollMs), wake.signal);
        waitMs *= 2;
      }
    } finally {
      for (const remove of removals) remove?.();
    }
  }

  async bounds({ signal }: SharedLogOptions = {}): Promise<LogBounds> {
    const { schema } = this.#pool.options;
    const [row] = await this.#query(
      `SELECT last, coalesce((SELECT min(position) FROM ${schema}.log_entry WHERE log = $1), last + 1)
         AS first FROM ${schema}.log_end WHERE log = $1`,
      [this.#name],
      signal,
    );
    if (row === undefined) {
      const why = 'it may have been restored, or have been a standby without it';
      throw new LogUnavailableError(`the server does not have the log ${this.#name}: ${why}`);
    }
    return { first: BigInt(row['first'] as string), last: BigInt(row['last'] as string) };
  }

  async trim(upTo: bigint, { signal }: SharedLogOptions = {}): Promise<void> {
    checkPosition(upTo, 'upTo');
    const { schema } = this.#pool.options;
    const inRange = upTo < 2n ** 63n ? upTo : 2n ** 63n - 1n;
    await this.#query(
      `DELETE FROM ${schema}.log_entry WHERE log = $1 AND position <= $2
         AND position < (SELECT last FROM ${schema}.log_end WHERE log = $1)`,
      [this.#name, String(inRange)],
      signal,
    );
  }

  close(): Promise<void> {
    this.#closed.abort();
    return Promise.resolve();
  }

  async #page(from: bigint, signal: AbortSignal | undefined): Promise<readonly PostgresRow[]> {
    this.#checkOpen();
    const { schema } = this.#pool.options;
    const values = [this.#name];
    const confirm = { text: `UPDATE ${schema}.log_end SET last = last WHERE log = $1`, values };
    const text = `SELECT position, entry FROM (
         SELECT position, entry, sum(length(entry)) OVER (ORDER BY position) AS bytes FROM (
           SELECT position, entry FROM ${schema}.log_entry
             WHERE log = $1 AND position >= $2 ORDER BY position LIMIT ${PAGE_ROWS}) AS page) AS sized
       WHERE bytes - length(entry) < ${PAGE_BYTES} ORDER BY position`;
    const page = { text, values: [...values, String(from)] };
    return await this.#pool.queryConfirmed(confirm, page, signal);
  }

  async #expired(position: bigint): Promise<PositionExpiredError> {
    const { first, last } = await this.bounds();
    return new PositionExpiredError(
      `position ${position} of the log has been trimmed: it begins at ${first}`,
      { position, oldestPosition: first, lastPosition: last },
    );
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
    if (this.#closed.signal.aborted) throw new StoreClosedError('the log is closed');
  }
}

async function requireLog(pool: PostgresPool, table: string, name: string): Promise<void> {
  const [found] = await pool.query('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
  const query = `SELECT last FROM ${table} WHERE log = $1`;
  if (found?.['there'] === true && (await pool.query(query, [name])).length > 0) return;
  throw new StoreError('LODESTORE_NOT_FOUND', `${pool.description} has no log ${name} in ${table}`);
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
