import { createHash } from 'node:crypto';
import type { CrashFs } from '../../src/testing/index.ts';
import type { NodeEnvironment, NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { StorageNode } from '../../examples/storage-node/src/storage-node.ts';

/** Small limits, so that few calls split leaves, fill volumes and make compaction due. */
export const OPTIONS: NodeOptions = {
  volumeBytes: 64 * 1024,
  indexVolumeBytes: 64 * 1024,
  extentBytes: 4096,
  queueBytes: 256 * 1024,
  writeBufferBytes: 24 * 1024,
  writeBufferMs: 0,
  maxWaitMs: 50,
  reserveBytes: 0,
  reserveFileBytes: 0,
  maxOpenFiles: 3,
  cachedLeaves: 2,
  compactDeadRatio: 0.2,
  compactBytesPerSecond: 0,
  upkeepMs: 0,
};

/** The simulated environment of a node on these files. */
export function environmentOn(files: CrashFs): NodeEnvironment {
  let random = 7;
  let clock = 1_700_000_000_000;
  return {
    files,
    now: () => clock++,
    randomBytes: (count) => new Uint8Array(count).map(() => (random = (random * 31 + 7) & 0xff)),
    leaves: { foldDeltas: 4, names: 6 },
  };
}

export function openOn(
  files: CrashFs,
  more: Partial<NodeEnvironment> = {},
  options: NodeOptions = {},
): Promise<StorageNode> {
  const environment = { ...environmentOn(files), ...more };
  return StorageNode.open('/node', { ...OPTIONS, ...options }, environment);
}

export function etagOf(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

export async function read(
  node: StorageNode,
  bucket: string,
  name: string,
): Promise<Buffer | undefined> {
  const reader = await node.open(bucket, name);
  if (reader === undefined) return undefined;
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.body()) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The possible contents of a name: the last acknowledged body, or that of a call in flight. */
interface Possible {
  acknowledged: Buffer | undefined;
  readonly others: Set<Buffer | undefined>;
}

export type Expectation = ReadonlyMap<string, readonly (Buffer | undefined)[]>;

/** A mulberry32 generator of the seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface WorldOptions {
  readonly node?: NodeOptions;
  /** A body; by default a repeated number of at most 14,000 bytes. */
  readonly bodyOf?: (below: (limit: number) => number) => Buffer;
}

function repeatedBody(below: (limit: number) => number): Buffer {
  const sizes = [0, 1, 100, 1000, 4096, 5000, 9000, 14_000];
  const size = sizes[below(sizes.length)]!;
  const word = Buffer.from(`${below(2 ** 30)} `);
  return Buffer.alloc(size, word.length > 0 ? word : 'x');
}

/**
 * Runs calls on a node and records the possible contents of each name. One call per name at a time.
 */
export class NodeWorld {
  readonly #random: () => number;
  readonly #bodyOf: NonNullable<WorldOptions['bodyOf']>;
  readonly #names = new Map<string, Possible>();
  readonly #busy = new Set<string>();
  node: StorageNode;
  /** Calls refused because of faults or a full disk. */
  refused = 0;
  done = 0;

  constructor(node: StorageNode, seed: number, bodyOf = repeatedBody) {
    this.node = node;
    this.#random = randomOf(seed);
    this.#bodyOf = bodyOf;
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  expectation(): Expectation {
    return new Map(
      [...this.#names].map(([name, { acknowledged, others }]) => [name, [acknowledged, ...others]]),
    );
  }

  #bytes(): Buffer {
    return this.#bodyOf((limit) => this.below(limit));
  }

  #freeName(): string | undefined {
    const name = `${'abc'[this.below(3)]!}/${String(this.below(20)).padStart(3, '0')}`;
    return this.#busy.has(name) ? undefined : name;
  }

  /** One call of any kind, on a separate name. */
  async step(): Promise<void> {
    const name = this.#freeName();
    if (name === undefined) return;
    const kind = this.below(10);
    if (kind < 5) await this.#put(name);
    else if (kind < 7) await this.#delete(name);
    else if (kind < 9) await this.#upload(name);
    else await this.#setMeta(name);
  }

  async #run(name: string, after: Buffer | undefined, call: () => Promise<unknown>): Promise<void> {
    let possible = this.#names.get(name);
    if (possible === undefined) {
      possible = { acknowledged: undefined, others: new Set() };
      this.#names.set(name, possible);
    }
    this.#busy.add(name);
    possible.others.add(after);
    try {
      await call();
      possible.acknowledged = after;
      possible.others.clear();
      this.done++;
    } catch (error) {
      this.refused++;
      this.lastError = error;
    } finally {
      this.#busy.delete(name);
    }
  }

  lastError: unknown;

  #put(name: string): Promise<void> {
    const bytes = this.#bytes();
    const body = [bytes.subarray(0, 700), bytes.subarray(700)];
    return this.#run(name, bytes, () =>
      this.node.put('b', name, body, {
        describe: () => ({ etag: etagOf(bytes), meta: { headers: { 'x-amz-meta-n': name } } }),
      }),
    );
  }

  #delete(name: string): Promise<void> {
    return this.#run(name, undefined, () => this.node.delete('b', name));
  }

  #setMeta(name: string): Promise<void> {
    const possible = this.#names.get(name);
    if (possible?.acknowledged === undefined || possible.others.size > 0) return Promise.resolve();
    return this.#run(name, possible.acknowledged, () =>
      this.node.setMeta('b', name, ({ meta }) => ({ ...meta, tags: { t: 'x' } })),
    );
  }

  #upload(name: string): Promise<void> {
    const parts = [this.#bytes(), this.#bytes()];
    const whole = Buffer.concat(parts);
    const isAborted = this.below(4) === 0;
    const before = this.#names.get(name)?.acknowledged;
    return this.#run(name, isAborted ? before : whole, async () => {
      const { uploadId } = await this.node.createUpload('b', name, { headers: {} });
      const infos = [];
      for (const [i, part] of parts.entries()) {
        const describe = () => ({ etag: etagOf(part), meta: { headers: {} } });
        infos.push(await this.node.putPart(uploadId, i + 1, [part], { describe }));
      }
      if (isAborted) return this.node.abortUpload(uploadId);
      const description = { etag: `${etagOf(whole)}-2`, meta: { headers: {} } };
      await this.node.completeUpload('b', name, uploadId, infos, description);
    });
  }
}

/** Errors of a node that was opened after a crash; empty if none. */
export async function faultsOf(node: StorageNode, expected: Expectation): Promise<string[]> {
  const faults: string[] = [];
  const there: string[] = [];
  for (const [name, allowed] of expected) {
    const found = await read(node, 'b', name);
    if (found !== undefined) there.push(name);
    const isAllowed = allowed.some((one) =>
      one === undefined || found === undefined ? one === found : one.equals(found),
    );
    if (!isAllowed) {
      faults.push(
        `${name}: ${found?.length ?? 'nothing'} instead of ${allowed.map((one) => one?.length ?? 'nothing').join(' or ')}`,
      );
    }
  }
  const listed: string[] = [];
  let after: string | undefined;
  do {
    const page = await node.list('b', { limit: 7, ...(after !== undefined && { after }) });
    listed.push(...page.objects.map(({ name }) => name));
    after = page.next;
  } while (after !== undefined);
  there.sort();
  if (listed.join() !== there.join())
    faults.push(`the listing has ${listed.join()}, not ${there.join()}`);
  const counted = await node.recount();
  if (!counted.isExact) faults.push(`the recount differs: ${JSON.stringify(counted)}`);
  return faults;
}
