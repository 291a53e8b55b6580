import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { etagOf, randomOf, read } from './node-world.ts';

/** Buckets that drop whole volumes. */
export const EVICTING = {
  cache: { mode: 'cache' },
  quota: { mode: 'quota', quotaBytes: 100_000 },
  // The clock of the tests advances by one each time it is read.
  ttl: { mode: 'keep', ttlMs: 150 },
} as const;

const BUCKETS = Object.keys(EVICTING);

/** What an object may be: `undefined` stands for none. */
export type Possible = ReadonlyMap<string, readonly (Buffer | undefined)[]>;

interface Known {
  acknowledged: Buffer | undefined;
  readonly inFlight: Set<Buffer | undefined>;
  /** No eviction has run since its PUT began. */
  isFixed: boolean;
}

/** Runs calls on buckets that evict. An object may vanish only while an eviction runs. */
export class EvictionWorld {
  readonly node: StorageNode;
  readonly #random: () => number;
  readonly #names = new Map<string, Known>();
  readonly #busy = new Set<string>();
  #evictions = 0;
  evictionsUnderWay = 0;
  refused = 0;
  /** Volumes of the cache. */
  dropped = 0;

  constructor(node: StorageNode, seed: number) {
    this.node = node;
    this.#random = randomOf(seed);
  }

  static async createBuckets(node: StorageNode): Promise<void> {
    for (const [name, policy] of Object.entries(EVICTING)) await node.createBucket(name, policy);
  }

  possible(): Possible {
    return new Map(
      [...this.#names].map(([key, { acknowledged, inFlight, isFixed }]) => {
        return [key, [acknowledged, ...inFlight, ...(isFixed ? [] : [undefined])]];
      }),
    );
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  async step(): Promise<void> {
    const key = `${BUCKETS[this.#below(BUCKETS.length)]!}/${this.#below(30)}`;
    if (this.#busy.has(key)) return;
    const sizes = [0, 300, 3_000, 5_000, 9_000, 14_000];
    const body = Buffer.alloc(sizes[this.#below(sizes.length)]!, `${this.#below(2 ** 30)} `);
    const kind = this.#below(10);
    if (kind < 7) await this.#run(key, body, () => this.#put(key, body));
    else if (kind < 8) await this.#run(key, undefined, () => this.#delete(key));
    else await this.#run(key, body, () => this.#upload(key, body));
  }

  /** Drops volumes: one of the cache at once, and all that are due. */
  async evict(): Promise<void> {
    this.#evictions++;
    this.evictionsUnderWay++;
    for (const known of this.#names.values()) known.isFixed = false;
    try {
      if ((await this.node.evict('cache')) !== undefined) this.dropped++;
      await this.node.compact();
    } catch {
      this.refused++;
    } finally {
      this.evictionsUnderWay--;
    }
  }

  async #run(key: string, after: Buffer | undefined, call: () => Promise<unknown>): Promise<void> {
    let known = this.#names.get(key);
    if (known === undefined) {
      known = { acknowledged: undefined, inFlight: new Set(), isFixed: true };
      this.#names.set(key, known);
    }
    this.#busy.add(key);
    known.inFlight.add(after);
    const before = this.evictionsUnderWay > 0 ? -1 : this.#evictions;
    try {
      await call();
      known.acknowledged = after;
      known.inFlight.clear();
      known.isFixed = before === this.#evictions;
    } catch {
      this.refused++;
    } finally {
      this.#busy.delete(key);
    }
  }

  #put(key: string, body: Buffer): Promise<unknown> {
    const [bucket, name] = partsOf(key);
    return this.node.put(bucket, name, [body], describeAs(body));
  }

  #delete(key: string): Promise<unknown> {
    return this.node.delete(...partsOf(key));
  }

  /** An eviction may abort it. */
  async #upload(key: string, body: Buffer): Promise<void> {
    const [bucket, name] = partsOf(key);
    const { uploadId } = await this.node.createUpload(bucket, name, { headers: {} });
    const part = await this.node.putPart(uploadId, 1, [body], describeAs(body));
    const { describe } = describeAs(body);
    await this.node.completeUpload(bucket, name, uploadId, [part], describe());
  }
}

const describeAs = (body: Uint8Array) => ({
  describe: () => ({ etag: etagOf(body), meta: { headers: {} } }),
});

function partsOf(key: string): [bucket: string, name: string] {
  const [bucket, name] = key.split('/');
  return [bucket!, name!];
}

/** What is wrong in a node after a crash; then it evicts all that can be evicted. */
export async function evictionFaultsOf(node: StorageNode, possible: Possible): Promise<string[]> {
  const faults: string[] = [];
  const there: string[] = [];
  for (const [key, allowed] of possible) {
    const found = await read(node, ...partsOf(key));
    if (found !== undefined) there.push(key);
    const isAllowed = allowed.some((one) =>
      one === undefined || found === undefined ? one === found : one.equals(found),
    );
    if (!isAllowed) faults.push(`${key}: ${found?.length ?? 'nothing'}`);
  }
  const listed = await listedIn(node);
  if (listed.join() !== there.sort().join()) faults.push(`listed: ${listed.join()}`);
  if (!(await node.recount()).isExact) faults.push('the recount differs');
  if ((await node.scrub()).damages.length > 0) faults.push('there are damaged records');
  await node.compact();
  for (const bucket of BUCKETS) while ((await node.evict(bucket)) !== undefined);
  await node.settled();
  const left = await listedIn(node);
  if (left.length > 0) faults.push(`left after all evictions: ${left.join()}`);
  if (!(await node.recount()).isExact) faults.push('the recount differs after all evictions');
  return faults;
}

async function listedIn(node: StorageNode): Promise<string[]> {
  const listed: string[] = [];
  for (const bucket of BUCKETS) {
    const { objects } = await node.list(bucket, { limit: 1_000 });
    for (const { name } of objects) listed.push(`${bucket}/${name}`);
  }
  return listed.sort();
}
