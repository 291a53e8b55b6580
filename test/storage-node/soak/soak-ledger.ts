import { createHash } from 'node:crypto';
import type { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { DeferredLedger, type RoundEnd } from './soak-deferred.ts';
import { QuotaLedger } from './soak-quota.ts';
import { SOAK_BUCKETS, type Report, type SoakBucket, type SoakCounts } from './soak-report.ts';

const PAGE_NAMES = 100;

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
  readonly #quota = new QuotaLedger();
  /** Ids of the uploads that were completed or aborted. */
  readonly #endedUploads = new Set<string>();
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
    const { type, bucket, name, hash, code, uploadId } = report;
    if (report.compacted !== undefined) counts.compacted += report.compacted;
    if (uploadId !== undefined) {
      this.#endedUploads.add(uploadId);
      counts[type === 'done' ? 'uploadsCompleted' : 'uploadsAborted']++;
    }
    if (name === undefined || bucket === undefined) return;
    this.#measure(report);
    if (bucket === 'd') this.#deferred.take(report);
    else this.#takeSynced(report, { bucket, name });
    if (bucket === 'q') this.#quota.take(report);
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
    const isKept = bucket !== 'q' || this.#quota.isKept(name);
    const isEvicted = found === undefined && !isKept;
    if (found !== acknowledged && !others.has(found) && !isEvicted) {
      throw new Error(`${key}: ${found ?? 'nothing'} instead of ${acknowledged ?? 'nothing'}`);
    }
    if (bucket === 'q') {
      if (found === undefined && acknowledged !== undefined && isEvicted) this.#counts.evicted++;
      if (found !== undefined && found === acknowledged && isKept) this.#counts.newestKept++;
      if (found !== acknowledged) this.#quota.forget(name);
    }
    this.#states.set(key, { bucket, name, acknowledged: found, others: new Set() });
  }

  /**
   * Checks everything: all objects byte for byte, the listings, that ended uploads are gone, a
   * recount of live bytes, and a read of all volumes. `end`: of the round before; undefined: the
   * node was closed.
   */
  async check(node: StorageNode, end: RoundEnd | undefined): Promise<void> {
    let objects = 0;
    const names: Record<SoakBucket, string[]> = { b: [], d: [], z: [], q: [] };
    const deferred = new Map<string, string | undefined>();
    for (const each of this.names) {
      const found = await hashOf(node, each);
      this.#counts.checked++;
      if (found !== undefined) {
        objects++;
        names[each.bucket].push(each.name);
      }
      if (each.bucket === 'z' && found !== undefined) this.#counts.compressedChecked++;
      if (each.bucket === 'd') deferred.set(each.name, found);
      else this.#settle(each, found);
    }
    this.#deferred.settle(deferred, end);
    this.#quota.endRound();
    for (const bucket of Object.keys(SOAK_BUCKETS) as SoakBucket[]) {
      await compareListing(node, bucket, names[bucket].sort());
      const { uploads } = await node.uploads(bucket);
      const ended = uploads.find(({ uploadId }) => this.#endedUploads.has(uploadId));
      if (ended !== undefined) throw new Error(`the ended upload ${ended.uploadId} is there`);
    }
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

/** @throws Error if the pages of the listing do not have exactly these names, in order */
async function compareListing(
  node: StorageNode,
  bucket: SoakBucket,
  names: readonly string[],
): Promise<void> {
  const listed: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await node.list(bucket, {
      limit: PAGE_NAMES,
      ...(after !== undefined && { after }),
    });
    listed.push(...page.objects.map(({ name }) => name));
    if (page.next === undefined) break;
    after = page.next;
  }
  const length = Math.max(names.length, listed.length);
  for (let i = 0; i < length; i++) {
    if (names[i] === listed[i]) continue;
    throw new Error(
      `${bucket}: listed is ${listed[i] ?? 'the end'}, stored is ${names[i] ?? 'nothing more'}`,
    );
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
