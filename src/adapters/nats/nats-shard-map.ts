import { StoreClosedError } from '../../base/errors.ts';
import {
  MAX_SHARD_MAP_BYTES,
  type ShardMapCallOptions,
  type ShardMapStore,
  type StoredShardMap,
} from '../../replicated/shards/shard-map-store.ts';
import { checkEntry, checkPosition } from '../checks.ts';
import { WrongSequenceError, type NatsConnection } from './nats-connection.ts';
import { LASTING_STREAM } from './nats-examination.ts';

/** A stream that keeps its last message: the map. Its version is the message's position. */
export class NatsShardMap implements ShardMapStore {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #subject: string;
  #isReady = false;
  #isClosed = false;

  constructor(connection: NatsConnection, name: string) {
    const { prefix } = connection.options;
    this.#connection = connection;
    this.#stream = `${prefix}-map-${name}`;
    this.#subject = `${prefix}.map.${name}`;
  }

  async read({ signal }: ShardMapCallOptions = {}): Promise<StoredShardMap | undefined> {
    await this.#prepare();
    const query = { last_by_subj: this.#subject };
    const found = await this.#connection.call(
      ({ streams }) => streams.getMessage(this.#stream, query),
      signal,
    );
    if (found === null) return undefined;
    return { bytes: found.data.slice(), version: BigInt(found.seq) };
  }

  async replace(
    expected: bigint,
    bytes: Uint8Array,
    { signal }: ShardMapCallOptions = {},
  ): Promise<'replaced' | 'conflict'> {
    await this.#prepare();
    const lastSequence = Number(checkPosition(expected, 'expected'));
    const map = checkEntry(bytes, MAX_SHARD_MAP_BYTES);
    try {
      await this.#connection.publish(this.#subject, map, { lastSequence }, signal);
      return 'replaced';
    } catch (error) {
      if (error instanceof WrongSequenceError) return 'conflict';
      throw error;
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  async #prepare(): Promise<void> {
    if (this.#isClosed) throw new StoreClosedError('the map is closed');
    if (this.#isReady) return;
    const subjects = [this.#subject];
    const wanted = { ...LASTING_STREAM, name: this.#stream, subjects, max_msgs: 1 };
    await this.#connection.ensureStream(wanted);
    this.#isReady = true;
  }
}
