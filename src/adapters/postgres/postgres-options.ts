import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { checkAddresses, checkMilliseconds } from '../checks.ts';

/** Options of `PostgresEngine.connect`. */
export interface PostgresOptions {
  /**
   * Connection strings of the servers of one cluster: `postgres://user:password@host/database`. The
   * server that accepts writes is used; after a failover, the new one.
   */
  readonly servers: readonly string[];
  /** The schema of the tables. Created if it does not exist. Default `lodestore`. */
  readonly schema?: string | undefined;
  /** False: creates neither schema nor tables, to look at what is there. Default true. */
  readonly createTables?: boolean | undefined;
  /** Maximum number of connections. Default 8. */
  readonly maxConnections?: number | undefined;
  /**
   * Timeout of one call, and of a wait for a lock at the server, in milliseconds. Default 2,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Longest interval, in milliseconds, at which a reader at the end of a log polls. After an entry
   * it begins with 5 ms and doubles. Default 100.
   */
  readonly pollMs?: number | undefined;
  /** Time in milliseconds for which an election stays won without a renewal. Default 3,000. */
  readonly leaseMs?: number | undefined;
}

export interface ResolvedPostgresOptions {
  readonly servers: readonly string[];
  readonly schema: string;
  readonly createTables: boolean;
  readonly maxConnections: number;
  readonly timeoutMs: number;
  readonly pollMs: number;
  readonly leaseMs: number;
}

const KNOWN: FieldsOf<PostgresOptions> = {
  servers: true,
  schema: true,
  createTables: true,
  maxConnections: true,
  timeoutMs: true,
  pollMs: true,
  leaseMs: true,
};

/**
 * Validates the options and applies defaults.
 * @throws TypeError, RangeError
 */
export function resolvePostgresOptions(options: PostgresOptions): ResolvedPostgresOptions {
  requireKnownFields(options, KNOWN, 'options');
  const { schema = 'lodestore', createTables = true, maxConnections = 8 } = options;
  if (typeof createTables !== 'boolean') {
    throw new TypeError('options.createTables must be a boolean');
  }
  if (typeof schema !== 'string' || !/^[a-z_][a-z0-9_]{0,40}$/.test(schema)) {
    throw new RangeError("options.schema must be a name of lower-case letters, digits and '_'");
  }
  if (!Number.isInteger(maxConnections) || maxConnections < 2 || maxConnections > 1000) {
    throw new RangeError('options.maxConnections must be an integer from 2 to 1,000');
  }
  const servers = checkAddresses(options.servers, 'servers');
  for (const server of servers) {
    if (!URL.canParse(server) || !/^postgres(?:ql)?:/.test(server)) {
      throw new RangeError('options.servers must be like postgres://user@host:5432/database');
    }
  }
  return {
    servers,
    schema,
    createTables,
    maxConnections,
    timeoutMs: checkMilliseconds(options.timeoutMs, 'timeoutMs', 2000),
    pollMs: checkMilliseconds(options.pollMs, 'pollMs', 100),
    leaseMs: checkMilliseconds(options.leaseMs, 'leaseMs', 3000),
  };
}
