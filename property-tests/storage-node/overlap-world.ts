import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { etagOf, randomOf, read } from './node-world.ts';

/** The ETag of the object; undefined if there is none. */
type State = string | undefined;

/** A call of the name. It took effect at one moment between its start and its end. */
interface Call {
  readonly kind: 'put' | 'create' | 'delete' | 'evict';
  /** What it stores. */
  readonly etag?: string;
  readonly start: number;
  readonly end: number;
  /** `nothing`: a delete found no object. */
  readonly result: 'done' | 'nothing' | 'refused';
}

/** What the name may have after the call, where it has `state` before. Empty: impossible. */
function effectsOf({ kind, etag, result }: Call, state: State, initial: State): readonly State[] {
  switch (kind) {
    case 'put':
      return [etag];
    case 'create':
      // It may be refused, too, where another change has overtaken it.
      if (result === 'refused') return [state];
      return state === undefined ? [etag] : [];
    case 'delete':
      return (state === undefined) === (result === 'nothing') ? [undefined] : [];
    case 'evict':
      // Only what was there before the volume was sealed.
      return state === initial ? [state, undefined] : [state];
  }
}

/** What the name may have after the calls, in any order that their times allow. */
function possibleEnds(initial: State, calls: readonly Call[]): Set<State> {
  const ends = new Set<State>();
  const visit = (state: State, left: readonly Call[]): void => {
    if (left.length === 0) ends.add(state);
    for (const call of left) {
      if (left.some((other) => other.end < call.start)) continue;
      const rest = left.filter((other) => other !== call);
      for (const next of effectsOf(call, state, initial)) visit(next, rest);
    }
  };
  visit(initial, calls);
  return ends;
}

/**
 * Calls of one name of a bucket that overlap, beside evictions or compaction. Records when each
 * began and ended, and what it said.
 */
export class OverlapWorld {
  readonly #node: StorageNode;
  readonly #bucket: string;
  readonly #random: () => number;
  #state: State;
  #calls: Call[] = [];
  #moment = 0;
  #bodies = 0;

  constructor(node: StorageNode, bucket: string, seed: number) {
    this.#node = node;
    this.#bucket = bucket;
    this.#random = randomOf(seed);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** Different from all others. */
  #bytes(): Buffer {
    const size = [10, 1_000, 9_000][this.#below(3)]!;
    return Buffer.alloc(size, `${this.#bodies++} ${'x'.repeat(20)}`.padStart(30, '0'));
  }

  async #turns(): Promise<void> {
    for (let turns = this.#below(5); turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #record(
    call: Pick<Call, 'kind' | 'etag'>,
    work: () => Promise<Call['result']>,
  ): Promise<void> {
    const start = ++this.#moment;
    const result = await work();
    this.#calls.push({ ...call, start, end: ++this.#moment, result });
  }

  #put(name: string, bytes: Buffer, more: object = {}): Promise<unknown> {
    const describe = () => ({ etag: etagOf(bytes), meta: { headers: {} } });
    return this.#node.put(this.#bucket, name, [bytes], { describe, ...more });
  }

  async #upload(bytes: Buffer): Promise<void> {
    const etag = etagOf(bytes);
    const description = { etag, meta: { headers: {} } };
    const { uploadId } = await this.#node.createUpload(this.#bucket, 'n', { headers: {} });
    const describe = () => description;
    const part = await this.#node.putPart(uploadId, 1, [bytes], { describe });
    await this.#node.completeUpload(this.#bucket, 'n', uploadId, [part], description);
  }

  async #create(bytes: Buffer): Promise<Call['result']> {
    try {
      await this.#put('n', bytes, { condition: { ifNoneMatch: '*' } });
      return 'done';
    } catch (error) {
      if ((error as { code?: unknown }).code === 'PRECONDITION_FAILED') return 'refused';
      throw error;
    }
  }

  async #call(): Promise<void> {
    const kind = this.#below(8);
    if (kind < 2) {
      const remove = () => this.#node.delete(this.#bucket, 'n');
      return this.#record({ kind: 'delete' }, async () => ((await remove()) ? 'done' : 'nothing'));
    }
    const bytes = this.#bytes();
    const etag = etagOf(bytes);
    if (kind < 5) return this.#record({ kind: 'create', etag }, () => this.#create(bytes));
    const store = () => (kind < 7 ? this.#put('n', bytes) : this.#upload(bytes));
    return this.#record({ kind: 'put', etag }, async () => {
      await store();
      return 'done';
    });
  }

  /** One call after the other. */
  async #client(): Promise<void> {
    for (let calls = 1 + this.#below(2); calls > 0; calls--) {
      await this.#turns();
      await this.#call();
    }
  }

  /** The name's object, if it has one, gets into the oldest volume. False if that is not sealed. */
  async prepareEviction(): Promise<boolean> {
    while ((await this.#node.evict(this.#bucket)) !== undefined);
    this.#state = undefined;
    if (this.#below(3) > 0) {
      const bytes = this.#bytes();
      await this.#put('n', bytes);
      this.#state = etagOf(bytes);
    }
    for (const name of ['filler/1', 'filler/2']) await this.#put(name, Buffer.alloc(30_000, name));
    await this.#node.settled();
    const { volumes } = await this.#node.figures();
    const own = volumes.filter((volume) => volume.class === `bucket ${this.#bucket}`);
    return own.length > 1 && own[0]!.state === 'sealed';
  }

  /** Runs calls that overlap, and `beside` with them. Resolves to what is wrong after them. */
  async round(beside: 'evict' | 'compact' | 'nothing'): Promise<string | undefined> {
    this.#calls = [];
    const work = [this.#client(), this.#client(), this.#client()];
    // It makes the others wait for the next group.
    work.push(this.#put(`other/${this.#below(5)}`, this.#bytes()).then(() => undefined));
    await this.#turns();
    if (beside === 'compact') work.push(this.#node.compact().then(() => undefined));
    if (beside === 'evict') {
      const evict = async (): Promise<Call['result']> => {
        await this.#node.evict(this.#bucket);
        return 'done';
      };
      work.push(this.#record({ kind: 'evict' }, evict));
    }
    await Promise.all(work);
    const ends = possibleEnds(this.#state, this.#calls);
    const found = await this.found(this.#node);
    const calls = this.#calls.map(({ kind, etag = '', start, end, result }) => {
      return `${start}-${end} ${kind} ${etag.slice(0, 6)} ${result}`;
    });
    const before = this.#state?.slice(0, 6) ?? 'nothing';
    this.#state = found;
    if (ends.has(found)) return undefined;
    return `${before}, then ${calls.join(', ')}: ${found?.slice(0, 6) ?? 'nothing'}`;
  }

  /** What `node` has of the name. */
  async found(node: StorageNode): Promise<State> {
    const bytes = await read(node, this.#bucket, 'n');
    return bytes && etagOf(bytes);
  }

  get state(): State {
    return this.#state;
  }
}
