import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { etagOf, randomOf, read } from './node-world.ts';

const BUCKET = 'd';

/** A change of one name, in the order of the calls. */
interface Change {
  readonly name: string;
  /** The body after it. */
  readonly after: Buffer | undefined;
  /** `uncertain`: in flight, or refused after it may have happened. */
  state: 'done' | 'uncertain';
  /** A delete on a full disk: durable before changes of other names that came before it. */
  isAhead?: boolean;
}

/** What a bucket with deferred acknowledgement may hold. */
export interface History {
  readonly changes: readonly Readonly<Change>[];
  /** So many of them are durable. */
  readonly durable: number;
}

/** Runs calls on a bucket with deferred acknowledgement, one after another. */
export class DeferredWorld {
  readonly #random: () => number;
  readonly #changes: Change[] = [];
  readonly node: StorageNode;
  #durable = 0;
  /** Calls that were refused. */
  refused = 0;
  lastError: unknown;

  constructor(node: StorageNode, seed: number) {
    this.node = node;
    this.#random = randomOf(seed);
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  history(): History {
    return {
      changes: this.#changes.map((change) => ({ ...change })),
      durable: this.#durable,
    };
  }

  #bytes(sizes: readonly number[]): Buffer {
    return Buffer.alloc(sizes[this.below(sizes.length)]!, `${this.below(2 ** 30)} `);
  }

  /** One call of any kind. Some of them start a flush that runs beside the next calls. */
  async step(): Promise<void> {
    const name = `${'abc'[this.below(3)]!}/${this.below(8)}`;
    const kind = this.below(20);
    if (kind < 12) await this.#put(name);
    else if (kind < 13)
      await this.#synced(name, this.#bytes([5_000, 9_000]), (body) => this.#send(name, body));
    else if (kind < 14) await this.#conditional(name);
    else if (kind < 15) await this.#delete(name);
    else if (kind < 16) await this.#upload(name);
    else if (kind < 17) await this.flush();
    else void this.node.flush().catch(() => undefined);
  }

  #send(name: string, body: Buffer, more: object = {}): Promise<unknown> {
    const describe = () => ({ etag: etagOf(body), meta: { headers: { 'x-amz-meta-n': name } } });
    return this.node.put(BUCKET, name, [body.subarray(0, 99), body.subarray(99)], {
      describe,
      ...more,
    });
  }

  async #put(name: string): Promise<void> {
    const body = this.#bytes([0, 1, 100, 1_000, 4_096]);
    const change: Change = { name, after: body, state: 'uncertain' };
    this.#changes.push(change);
    try {
      await this.#send(name, body);
      change.state = 'done';
    } catch (error) {
      // A PUT that the buffer refuses never happened.
      this.#changes.pop();
      this.refused++;
      this.lastError = error;
    }
  }

  /** A call that is durable when it resolves. */
  async #synced<T extends Buffer | undefined>(
    name: string,
    after: T,
    call: (body: T) => Promise<unknown>,
  ): Promise<void> {
    const change: Change = { name, after, state: 'uncertain' };
    this.#changes.push(change);
    try {
      await call(after);
      change.state = 'done';
      this.#durable = this.#changes.length;
    } catch (error) {
      this.refused++;
      this.lastError = error;
    }
  }

  async #delete(name: string): Promise<void> {
    const before = this.#durable;
    await this.#synced(name, undefined, () => this.node.delete(BUCKET, name));
    const last = this.#changes.at(-1)!;
    if (last.state === 'done' && (await this.node.figures()).writeBuffer.puts > 0) {
      last.isAhead = true;
      this.#durable = before;
    }
  }

  async #conditional(name: string): Promise<void> {
    const body = this.#bytes([10, 2_000]);
    const before = await this.node.info(BUCKET, name);
    const condition = before === undefined ? { ifNoneMatch: '*' } : { ifMatch: [before.etag] };
    await this.#synced(name, body, () => this.#send(name, body, { condition }));
  }

  #upload(name: string): Promise<void> {
    const part = this.#bytes([10, 5_000]);
    return this.#synced(name, part, async () => {
      const { uploadId } = await this.node.createUpload(BUCKET, name, { headers: {} });
      const describe = () => ({ etag: etagOf(part), meta: { headers: {} } });
      const info = await this.node.putPart(uploadId, 1, [part], { describe });
      const description = { etag: `${etagOf(part)}-1`, meta: { headers: {} } };
      await this.node.completeUpload(BUCKET, name, uploadId, [info], description);
    });
  }

  async flush(): Promise<void> {
    const count = this.#changes.length;
    try {
      await this.node.flush();
      this.#durable = count;
    } catch (error) {
      this.refused++;
      this.lastError = error;
    }
  }
}

/** The possible bodies of each name after the first `count` changes. */
function possibleAfter(changes: History['changes'], count: number): Map<string, Set<string>> {
  const possible = new Map<string, Set<string>>();
  for (const [i, { name, after, state, isAhead = false }] of changes.entries()) {
    const before = possible.get(name) ?? new Set(['nothing']);
    if (i >= count && !isAhead) possible.set(name, before);
    else if (state === 'done') possible.set(name, new Set([textOf(after)]));
    else possible.set(name, before.add(textOf(after)));
  }
  return possible;
}

function textOf(body: Buffer | undefined): string {
  return body === undefined ? 'nothing' : `${body.length} ${etagOf(body)}`;
}

async function namesIn(node: StorageNode): Promise<string[]> {
  const names: string[] = [];
  let after: string | undefined;
  do {
    const page = await node.list(BUCKET, { limit: 5, ...(after !== undefined && { after }) });
    names.push(...page.objects.map(({ name }) => name));
    after = page.next;
  } while (after !== undefined);
  return names;
}

/**
 * Errors of the bucket; empty if its objects are those after a prefix of the history that has
 * everything durable, each readable to its last byte, and the listing and the counts agree.
 *
 * `atLeast`: so many changes must be there, for a node that did not crash.
 */
export async function deferredFaults(
  node: StorageNode,
  { changes, durable }: History,
  atLeast = durable,
): Promise<string[]> {
  const found = new Map<string, string>();
  for (const { name } of changes) found.set(name, textOf(await read(node, BUCKET, name)));
  const faults: string[] = [];
  const isPrefix = (count: number): boolean => {
    const possible = possibleAfter(changes, count);
    return [...found].every(([name, body]) => possible.get(name)!.has(body));
  };
  let isFound = false;
  for (let count = atLeast; count <= changes.length && !isFound; count++) isFound = isPrefix(count);
  if (!isFound) {
    const wanted = possibleAfter(changes, changes.length);
    const wrong = [...found].filter(([name, body]) => !wanted.get(name)!.has(body));
    const newest = wrong.map(([name, body]) => `${name}: ${body}`).join(', ');
    faults.push(`no prefix from ${atLeast} of ${changes.length}; not the newest: ${newest}`);
  }
  const there = [...found].flatMap(([name, body]) => (body === 'nothing' ? [] : [name])).sort();
  const listed = await namesIn(node);
  if (listed.join() !== there.join()) faults.push(`listed ${listed.join()}, not ${there.join()}`);
  const counted = await node.recount();
  if (!counted.isExact) faults.push(`the recount differs: ${JSON.stringify(counted)}`);
  return faults;
}

/** Errors of the objects as a client sees them: every acknowledged change is there. */
export async function servedFaults(node: StorageNode, { changes }: History): Promise<string[]> {
  const faults: string[] = [];
  const there: string[] = [];
  for (const [name, possible] of possibleAfter(changes, changes.length)) {
    const body = textOf(await read(node, BUCKET, name));
    if (!possible.has(body)) faults.push(`${name}: ${body}, not ${[...possible].join(' or ')}`);
    const info = await node.info(BUCKET, name);
    const isSame = info === undefined ? body === 'nothing' : body.startsWith(`${info.sizeBytes} `);
    if (!isSame) faults.push(`${name}: HEAD differs from GET`);
    if (body !== 'nothing') there.push(name);
  }
  const listed = await namesIn(node);
  if (listed.join() !== there.sort().join()) faults.push(`listed ${listed.join()}`);
  return faults;
}
