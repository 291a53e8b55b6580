import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { MACHINE_ENVIRONMENT } from '../../src/replicated/node/replica-environment.ts';
import { newShardMap, type ShardEntry } from '../../src/replicated/shards/shard-map.ts';
import { ShardMapKeeper } from '../../src/replicated/shards/shard-map-keeper.ts';
import type { ShardMapStore } from '../../src/replicated/shards/shard-map-store.ts';
import { Random } from '../../src/testing/engine/random.ts';
import { SimulatedShardMap } from '../../src/testing/index.ts';
import { SimulatedTime } from './simulated-time.ts';

export interface FailoverOptions {
  readonly seed: number;
  readonly shards: number;
  readonly nodes: number;
  readonly copies: number;
  /** Milliseconds until the lease of a node that died ends. */
  readonly leaseMs: number;
  /** Milliseconds of an append to the log of a shard. */
  readonly appendMs: number;
  /** Milliseconds of a read or a replacement of the map. */
  readonly mapMs: number;
  /** Probability that the answer to a replacement of the map is lost. */
  readonly lostAnswer: number;
}

/** Times from the death of the machine, in milliseconds, of all its shards. */
export interface FailoverReport {
  readonly shards: number;
  /** A new primary takes writes: the longest wait, and the median. */
  readonly served: { readonly median: number; readonly last: number };
  /** The map names the new primary. */
  readonly announced: { readonly median: number; readonly last: number };
  readonly replacements: number;
  readonly conflicts: number;
}

/** The shard map of an engine that takes time to answer. */
class SlowMap {
  replacements = 0;
  conflicts = 0;
  readonly #map: SimulatedShardMap;
  readonly #sleep: () => Promise<void>;
  /** The engine makes one replacement after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(map: SimulatedShardMap, sleep: () => Promise<void>) {
    this.#map = map;
    this.#sleep = sleep;
  }

  connect(): ShardMapStore {
    const store = this.#map.connect();
    return {
      read: async (options) => {
        await this.#sleep();
        return store.read(options);
      },
      replace: (version, bytes, options) => {
        const result = this.#turn.then(async () => {
          await this.#sleep();
          const answer = await store.replace(version, bytes, options);
          if (answer === 'replaced') this.replacements++;
          else this.conflicts++;
          return answer;
        });
        this.#turn = result.catch(() => undefined);
        return result;
      },
      close: () => store.close(),
    };
  }
}

/**
 * A machine of a cluster dies, and other machines take over the shards that it led. Each node
 * keeps the shard map as a real one does (`ShardMapKeeper`); the logs of the shards, the leases and
 * the time of the engine are a model. Time is simulated.
 */
export async function simulateFailover(options: FailoverOptions): Promise<FailoverReport> {
  const { seed, shards, nodes, copies, leaseMs, appendMs, mapMs, lostAnswer } = options;
  const time = new SimulatedTime();
  const random = new Random(seed);
  const clock = clockOf(time.timer);
  const { signal } = new AbortController();
  const sleep = (ms: number): Promise<void> => clock.sleep(ms, signal);
  const slow = new SlowMap(new SimulatedShardMap(seed, lostAnswer), () => sleep(mapMs));
  const environment = {
    ...MACHINE_ENVIRONMENT,
    clock,
    randomBytes: (length: number) => Uint8Array.from({ length }, () => random.below(256)),
  };
  const addresses = Array.from({ length: nodes }, (_, i) => `node-${i}`);
  const keepers = addresses.map(() => new ShardMapKeeper(slow.connect(), environment, signal));
  const led = newShardMap({ kind: 'hash' }, shards, addresses, copies);
  const created = {
    ...led,
    shards: led.shards.map((entry) => ({ ...entry, primary: entry.replicas[0], epoch: 1n })),
  };
  const opening = Promise.all(keepers.map((keeper) => keeper.open(() => created)));
  await time.passUntil(opening);
  slow.replacements = 0;
  slow.conflicts = 0;
  const [dead] = addresses;
  const [startMs, served, announced] = [time.nowMs, [] as number[], [] as number[]];
  const takeOver = async (shard: number, heir: number): Promise<void> => {
    // Electors renew at different moments, so their leases end at different moments too.
    await sleep(leaseMs * (2 / 3 + random.below(1_000) / 3_000));
    await sleep(appendMs);
    served.push(time.nowMs - startMs);
    const address = addresses[heir]!;
    const update = (entry: ShardEntry): ShardEntry | undefined =>
      entry.primary === address ? undefined : { ...entry, primary: address, epoch: 2n };
    await keepers[heir]!.update(shard, update);
    announced.push(time.nowMs - startMs);
  };
  const takeovers = created.shards.flatMap((entry, shard) => {
    if (entry.primary !== dead) return [];
    const heirs = entry.replicas.slice(1);
    return [takeOver(shard, addresses.indexOf(heirs[random.below(heirs.length)]!))];
  });
  await time.passUntil(Promise.all(takeovers));
  return {
    shards: takeovers.length,
    served: extentOf(served),
    announced: extentOf(announced),
    replacements: slow.replacements,
    conflicts: slow.conflicts,
  };
}

function extentOf(timesMs: readonly number[]): { median: number; last: number } {
  const sorted = timesMs.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, last: sorted.at(-1)! };
}
