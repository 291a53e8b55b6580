import { StoreClosedError } from '../../base/errors.ts';
import {
  MAX_SHARD_MAP_BYTES,
  type ShardMapCallOptions,
  type ShardMapStore,
  type StoredShardMap,
} from '../../replicated/shards/shard-map-store.ts';
import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import { checkEntry, checkName, checkPosition } from '../checks.ts';
import type { EtcdGateway } from './etcd-gateway.ts';
import { base64Of, bytesOf, type EtcdRange, type EtcdTransaction } from './etcd-keys.ts';

/** A value under one key. Its version is the etcd revision of its last change. */
export class EtcdShardMap implements ShardMapStore {
  readonly #gateway: EtcdGateway;
  readonly #key: string;
  #isClosed = false;

  constructor(gateway: EtcdGateway, name: string) {
    this.#gateway = gateway;
    this.#key = base64Of(`${gateway.options.prefix}map/${checkName(name)}`);
  }

  async read({ signal }: ShardMapCallOptions = {}): Promise<StoredShardMap | undefined> {
    this.#checkOpen();
    const body = { key: this.#key };
    const range = await this.#gateway.call<EtcdRange>({ path: '/v3/kv/range', body, signal });
    const [pair] = range.kvs ?? [];
    if (pair === undefined) return undefined;
    return { bytes: bytesOf(pair.value), version: BigInt(pair.mod_revision ?? 0) };
  }

  async replace(
    expected: bigint,
    bytes: Uint8Array,
    { signal }: ShardMapCallOptions = {},
  ): Promise<'replaced' | 'conflict'> {
    this.#checkOpen();
    const key = this.#key;
    const value = base64Of(checkEntry(bytes, MAX_SHARD_MAP_BYTES));
    const mod_revision = String(checkPosition(expected, 'expected'));
    const body = {
      compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision }],
      success: [{ requestPut: { key, value } }],
    };
    let isRepeated = false;
    const onRetry = (): void => {
      isRepeated = true;
    };
    const call = { path: '/v3/kv/txn', body, signal, onRetry };
    const answer = await this.#gateway.call<EtcdTransaction>(call);
    if (answer.succeeded === true) return 'replaced';
    if (!isRepeated) return 'conflict';
    throw new LogUnavailableError('an earlier attempt to replace the map may have succeeded');
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreClosedError('the map is closed');
  }
}
