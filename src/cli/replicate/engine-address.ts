import { InvalidArgumentError } from 'commander';
import type { ReplicationEngine } from '../../adapters/engine.ts';
import { EtcdEngine } from '../../adapters/etcd/etcd-engine.ts';
import { UsageError } from '../output/command-errors.ts';

/** An engine address from the command line. */
export interface EngineAddress {
  readonly kind: 'etcd' | 'nats' | 'postgres';
  /** With `createTables: false`, creates nothing in the engine. */
  readonly connect: (options?: ConnectOptions) => Promise<ReplicationEngine>;
}

interface ConnectOptions {
  readonly createTables: boolean;
}

const FORMS =
  'etcd://host:2379,host:2379 (etcds:// for TLS), nats://host:4222,host:4222 or postgres://user@host/database';

/**
 * Parses addresses like `etcd://user:password@host:2379,host:2379/prefix/`. Hosts are separated by
 * commas.
 */
export function parseEngine(text: string): EngineAddress {
  const match = /^(etcds?|nats|postgres(?:ql)?):\/\/(?:([^:@/]*):([^@/]*)@)?([^/@]+)(\/.*)?$/.exec(
    text,
  );
  const isPostgres = /^postgres(?:ql)?:\/\//.test(text);
  if (match === null && !isPostgres) throw new InvalidArgumentError(`Expected ${FORMS}.`);
  if (isPostgres) {
    const servers = text.split(/,(?=postgres)/);
    return { kind: 'postgres', connect: (options) => connectPostgres({ servers, ...options }) };
  }
  const [, scheme = '', user, password, hosts = '', path = '/'] = match!;
  const login =
    user === undefined ? {} : { user: decoded(user), password: decoded(password ?? '') };
  const prefix = path.slice(1);
  const list = hosts.split(',');
  if (scheme === 'nats') {
    const named = prefix === '' ? {} : { prefix };
    return { kind: 'nats', connect: () => connectNats({ servers: list, ...login, ...named }) };
  }
  const endpoints = list.map((host) => `${scheme === 'etcds' ? 'https' : 'http'}://${host}`);
  const named = prefix === '' ? {} : { prefix };
  return { kind: 'etcd', connect: () => connectEtcd({ endpoints, ...login, ...named }) };
}

/** Resolves `%40` and the like. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new InvalidArgumentError('A % in user or password must be written as %25.');
  }
}

async function connectEtcd(
  options: Parameters<typeof EtcdEngine.connect>[0],
): Promise<ReplicationEngine> {
  try {
    return await EtcdEngine.connect(options);
  } catch (error) {
    // Of an address that matches the form, but not the rules for hosts, ports and prefixes.
    if (error instanceof RangeError) throw new UsageError(`--engine: ${error.message}`);
    throw error;
  }
}

async function connectNats(options: {
  readonly servers: readonly string[];
  readonly prefix?: string;
}): Promise<ReplicationEngine> {
  const loaded = await loadedOrExplained(
    () => import('../../adapters/nats/nats-engine.ts'),
    '@nats-io/jetstream',
  );
  return await loaded.NatsEngine.connect(options);
}

async function connectPostgres(
  options: { readonly servers: readonly string[] } & Partial<ConnectOptions>,
): Promise<ReplicationEngine> {
  const loaded = await loadedOrExplained(
    () => import('../../adapters/postgres/postgres-engine.ts'),
    'pg',
  );
  return await loaded.PostgresEngine.connect(options);
}

/** Explains the error if an optional package is missing. */
async function loadedOrExplained<T>(load: () => Promise<T>, name: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UsageError(`this engine needs the package ${name}: npm install ${name}`);
  }
}
