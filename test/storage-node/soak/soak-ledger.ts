import { createHash } from 'node:crypto';
import type { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { DeferredLedger, type RoundEnd } from './soak-deferred.ts';
import type { Report, SoakBucket, SoakCounts } from './soak-report.ts';

interface State {
  readonly bucket: SoakBucket;
  readonly name: string;
  /** Hash of the last acknowledged body; undefined if there is none. */
  acknowledged: string | undefined;
  /** Possible results of calls in flight, or refused ones. */
  readonly others: Set<string | undefined>;
}

/** An object of the soak. */
export interface SoakName {
  readonly bucket: SoakBucket;
  readonly name: string;
}

/** The possible contents of a node, according to its reports. */
export class SoakLedger {
  /** Of the buckets whose acknowledgements are durable. */
  readonly #states = new Map<string, State>();
  readonly #deferred: DeferredLedger;
  readonly #counts: SoakCounts;
  readonly #begunMs = new Map<string, number>();
  #slowestMs = 0;

  constructor(counts: SoakCounts) {
    this.#counts = counts;
    this.#deferred = new DeferredLedger(counts);
  }

  get names(): SoakName[] {
    const deferred = this.#deferred.names.map((name): SoakName => ({ bucket: 'd', name }));
    return [...this.#states.values(), ...deferred];
  }

  /** The longest synced call since the last check, with those that did not end. */
  slowestMs(nowMs: number): number {
    const unended = [...this.#begunMs.values()].map((begunMs) => nowMs - begunMs);
    return Math.max(this.#slowestMs, ...unended);
  }

  take(report: Report): void {
    const counts = this.#counts;
    const { type, bucket, name, hash, code } = report;
    if (report.compacted !== undefined) counts.compacted += report.compacted;
    if (name === undefined || bucket === undefined) return;
    this.#measure(report);
    if (bucket === 'd') this.#deferred.take(report);
    else this.#takeSynced(report, { bucket, name });
    if (type === 'done') counts.acknowledged++;
    if (type === 'refused') {
      counts.refused++;
      if (code === 'NO_SPACE') counts.full++;
      if (code === 'NO_SPACE' && hash === undefined) counts.deletesRefused++;
      if (code !== 'NO_SPACE' && code !== 'BUSY') {
        throw new Error(`${bucket}/${name} was refused with ${code}`);
      }
    }
  }

  #measure({ type, bucket, name, isSynced, atMs }: Report): void {
    if (isSynced !== true || atMs === undefined) return;
    const key = `${bucket}/${name}`;
    if (type === 'begin') {
      this.#begunMs.set(key, atMs);
      return;
    }
    this.#slowestMs = Math.max(this.#slowestMs, atMs - (this.#begunMs.get(key) ?? atMs));
    this.#begunMs.delete(key);
  }

  #takeSynced({ type, hash }: Report, { bucket, name }: SoakName): void {
    const key = `${bucket}/${name}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { bucket, name, acknowledged: undefined, others: new Set() };
      this.#states.set(key, state);
    }
    if (type === 'begin') state.others.add(hash);
    if (type !== 'done') return;
    if (bucket === 'z') this.#counts.compressedAcknowledged++;
    state.acknowledged = hash;
    state.others.clear();
  }

  /** What the last check has found. */
  settled({ bucket, name }: SoakName): string | undefined {
    if (bucket === 'd') return this.#deferred.settled(name);
    return this.#states.get(`${bucket}/${name}`)!.acknowledged;
  }

  /** @throws Error if a name has contents that it must not have. Records its contents. */
  #settle({ bucket, name }: SoakName, found: string | undefined): void {
    const key = `${bucket}/${name}`;
    const { acknowledged, others } = this.#states.get(key)!;
    if (found !== acknowledged && !others.has(found)) {
      throw new Error(`${key}: ${found ?? 'nothing'} instead of ${acknowledged ?? 'nothing'}`);
    }
    this.#states.set(key, { bucket, name, acknowledged: found, others: new Set() });
  }

  /**
   * Checks everything: all objects byte for byte, a recount of live bytes, and a read of all
   * volumes. `end`: of the round before; undefined: the node was closed.
   */
  async check(node: StorageNode, end: RoundEnd | undefined): Promise<void> {
    let objects = 0;
    const deferred = new Map<string, string | undefined>();
    for (const each of this.names) {
      const found = await hashOf(node, each);
      this.#counts.checked++;
      if (found !== undefined) objects++;
      if (each.bucket === 'z' && found !== undefined) this.#counts.compressedChecked++;
      if (each.bucket === 'd') deferred.set(each.name, found);
      else this.#settle(each, found);
    }
    this.#deferred.settle(deferred, end);
    this.#begunMs.clear();
    this.#slowestMs = 0;
    await node.settled();
    const recount = await node.recount();
    if (!recount.isExact) throw new Error(`the recount differs: ${JSON.stringify(recount)}`);
    if (recount.objects !== objects) throw new Error(`${recount.objects} objects, not ${objects}`);
    const { damages } = await node.scrub();
    if (damages.length > 0) throw new Error(`damage: ${JSON.stringify(damages)}`);
  }
}

/** Hash of the body, read as a whole; undefined if there is no such object. */
export async function hashOf(
  node: StorageNode,
  { bucket, name }: SoakName,
): Promise<string | undefined> {
  const reader = await node.open(bucket, name);
  if (reader === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const piece of reader.body()) hash.update(piece);
  return hash.digest('hex');
}
