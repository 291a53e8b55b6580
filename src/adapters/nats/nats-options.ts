import type { TlsOptions } from '@nats-io/transport-node';
import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { checkAddresses, checkMilliseconds } from '../checks.ts';

/** Options of `NatsEngine.connect`. */
export interface NatsOptions {
  /** Addresses of servers of one cluster: `host:4222`. */
  readonly servers: readonly string[];
  /** Streams and subjects of this engine begin with this word. Default `lodestore`. */
  readonly prefix?: string | undefined;
  /** How many servers hold each entry: 1, 3 or 5. Default 3. For streams that do not exist yet. */
  readonly replicas?: 1 | 3 | 5 | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /**
   * Addresses of the servers' monitoring ports: `http://host:8222`. Given: `connect` refuses a
   * server that does not sync each entry (`sync_interval: always`). Without them, nobody looks.
   */
  readonly monitors?: readonly string[] | undefined;
  /** How long a server may take for one call, in milliseconds. Default 2,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * How long the winner of an election keeps it after its last sign of life, in milliseconds.
   * Default 3,000.
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
 * Checks the options and adds the defaults.
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
