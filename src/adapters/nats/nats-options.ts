import type { TlsOptions } from '@nats-io/transport-node';
import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { checkAddresses, checkMilliseconds } from '../checks.ts';

/** Options of `NatsEngine.connect`. */
export interface NatsOptions {
  /** Addresses of servers of one cluster: `host:4222`. */
  readonly servers: readonly string[];
  /** Prefix of the streams and subjects of this engine. Default `lodestore`. */
  readonly prefix?: string | undefined;
  /** Number of servers that have each entry: 1, 3 or 5. Default 3. Only used for new streams. */
  readonly replicas?: 1 | 3 | 5 | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /**
   * Addresses of the servers' monitoring ports: `http://host:8222`. With them, `connect` refuses a
   * server that does not sync each entry (`sync_interval: always`). Without them, this is not
   * checked.
   */
  readonly monitors?: readonly string[] | undefined;
  /** Timeout of one call, in milliseconds. Default 2,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Time in milliseconds for which an election stays won without a renewal. Default 3,000. The
   * stream of the elections has the longest that any node was given: until it is removed, another
   * node is elected only after that time.
   */
  readonly leaseMs?: number | undefined;
}

export interface ResolvedNatsOptions {
  readonly given: NatsOptions;
  readonly servers: readonly string[];
  readonly prefix: string;
  readonly replicas: number;
  readonly monitors: readonly string[];
  readonly timeoutMs: number;
  readonly leaseMs: number;
}

const KNOWN: FieldsOf<NatsOptions> = {
  servers: true,
  prefix: true,
  replicas: true,
  user: true,
  password: true,
  token: true,
  tls: true,
  monitors: true,
  timeoutMs: true,
  leaseMs: true,
};

/**
 * Validates the options and applies defaults.
 * @throws TypeError, RangeError
 */
export function resolveNatsOptions(options: NatsOptions): ResolvedNatsOptions {
  requireKnownFields(options, KNOWN, 'options');
  const { prefix = 'lodestore', replicas = 3, monitors = [] } = options;
  if (typeof prefix !== 'string' || !/^[A-Za-z0-9_-]{1,50}$/.test(prefix)) {
    throw new RangeError("options.prefix must consist of 1 to 50 letters, digits, '-' and '_'");
  }
  if (![1, 3, 5].includes(replicas)) throw new RangeError('options.replicas must be 1, 3 or 5');
  return {
    given: options,
    servers: checkAddresses(options.servers, 'servers'),
    prefix,
    replicas,
    monitors: monitors.length === 0 ? [] : checkAddresses(monitors, 'monitors'),
    timeoutMs: checkMilliseconds(options.timeoutMs, 'timeoutMs', 2000),
    leaseMs: checkMilliseconds(options.leaseMs, 'leaseMs', 3000),
  };
}
