import { LogUnavailableError } from '../../replicated/log/log-errors.ts';
import {
  MAX_SHARD_MAP_BYTES,
  type ShardMapStore,
  type StoredShardMap,
} from '../../replicated/shards/shard-map-store.ts';
import { Random } from './random.ts';

/** A shard map in memory, for tests. `connect` gives each node its own handle. */
export class SimulatedShardMap {
  readonly #random: Random;
  readonly #lostAnswer: number;
  #stored: StoredShardMap | undefined;

  /** `lostAnswer`: probability that a replacement takes effect and its caller gets an error. */
  constructor(seed = 1, lostAnswer = 0) {
    this.#random = new Random(seed);
    this.#lostAnswer = lostAnswer;
  }

  connect(): ShardMapStore {
    let isClosed = false;
    const requireOpen = (): void => {
      if (isClosed) throw new Error('the map was closed');
    };
    return {
      read: async () => {
        requireOpen();
        return this.#stored;
      },
      replace: async (expected, bytes) => {
        requireOpen();
        if (bytes.length > MAX_SHARD_MAP_BYTES) {
          const most = `at most ${MAX_SHARD_MAP_BYTES} bytes`;
          throw new RangeError(`the map must have ${most}; it has ${bytes.length}`);
        }
        const version = this.#stored?.version ?? 0n;
        if (expected !== version) return 'conflict';
        this.#stored = { bytes: bytes.slice(), version: version + 1n };
        if (this.#random.below(1_000) < this.#lostAnswer * 1_000) {
          throw new LogUnavailableError('lost by the simulation');
        }
        return 'replaced';
      },
      close: async () => {
        isClosed = true;
      },
    };
  }
}
