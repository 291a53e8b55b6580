import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import { checkAddresses, checkMilliseconds } from '../checks.ts';

/** TLS options for etcd, as in Node's `tls.connect`. */
export interface EtcdTls {
  /** Trusted certificates, in PEM. Default: Node's. */
  readonly ca?: string | Uint8Array | undefined;
  /** The client's certificate, in PEM. */
  readonly cert?: string | Uint8Array | undefined;
  /** The key of the client's certificate, in PEM. */
  readonly key?: string | Uint8Array | undefined;
  /** The expected name in the server's certificate. Default: the endpoint's host. */
  readonly servername?: string | undefined;
}

/** Options of `EtcdEngine.connect`. */
export interface EtcdOptions {
  /**
   * Addresses of the members of one cluster: `http://host:2379` or `https://host:2379`. If one does
   * not answer a call, the next is tried.
   */
  readonly endpoints: readonly string[];
  /** Prefix of all keys of this engine. Default `lodestore/`. */
  readonly prefix?: string | undefined;
  readonly tls?: EtcdTls | undefined;
  /** An etcd user. Needs read and write access to the keys below `prefix`. */
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /**
   * Timeout of one call at one endpoint, in milliseconds. Default 2,000. A call takes at most this
   * long per endpoint.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Time in milliseconds for which an election stays won without a renewal. Default 3,000; etcd
   * raises it to at least 2,000.
   */
  readonly leaseMs?: number | undefined;
  /**
   * True if `trim` also compacts the history of etcd; without compaction, trimmed entries keep
   * their space. Compaction removes old revisions of all keys of the cluster. Default true. Set it
   * to false where another program compacts (`--auto-compaction-retention`).
   */
  readonly compact?: boolean | undefined;
}

export interface ResolvedEtcdOptions {
  readonly endpoints: readonly URL[];
  readonly prefix: string;
  readonly tls: EtcdTls;
  readonly login: EtcdLogin | undefined;
  readonly timeoutMs: number;
  readonly leaseMs: number;
  readonly compact: boolean;
}

export interface EtcdLogin {
  readonly user: string;
  readonly password: string;
}

const KNOWN: FieldsOf<EtcdOptions> = {
  endpoints: true,
  prefix: true,
  tls: true,
  user: true,
  password: true,
  timeoutMs: true,
  leaseMs: true,
  compact: true,
};
const KNOWN_TLS: FieldsOf<EtcdTls> = { ca: true, cert: true, key: true, servername: true };

/**
 * Validates the options and applies defaults.
 * @throws TypeError, RangeError
 */
export function resolveEtcdOptions(options: EtcdOptions): ResolvedEtcdOptions {
  requireKnownFields(options, KNOWN, 'options');
  const { prefix = 'lodestore/', tls = {}, compact = true } = options;
  requireKnownFields(tls, KNOWN_TLS, 'options.tls');
  if (typeof prefix !== 'string') throw new TypeError('options.prefix must be a string');
  if (!/^[\x21-\x7e]{0,200}\/$/.test(prefix)) {
    throw new RangeError("options.prefix must be printable ASCII and end with '/'");
  }
  if (typeof compact !== 'boolean') throw new TypeError('options.compact must be a boolean');
  return {
    endpoints: checkAddresses(options.endpoints, 'endpoints').map(endpointOf),
    prefix,
    tls,
    login: loginOf(options),
    timeoutMs: checkMilliseconds(options.timeoutMs, 'timeoutMs', 2000),
    leaseMs: checkMilliseconds(options.leaseMs, 'leaseMs', 3000),
    compact,
  };
}

function endpointOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (isWeb && url.username === '' && url.pathname === '/') return url;
  throw new RangeError(
    `options.endpoints must be like https://host:2379; one is ${JSON.stringify(text)}`,
  );
}

function loginOf({ user, password }: EtcdOptions): EtcdLogin | undefined {
  if (user === undefined && password === undefined) return undefined;
  if (typeof user === 'string' && typeof password === 'string') return { user, password };
  throw new TypeError('options.user and options.password must be strings, and given together');
}
