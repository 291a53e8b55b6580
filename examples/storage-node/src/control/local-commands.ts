import type { BucketPolicy } from '../ledger/bucket-record.ts';
import type { BucketDetails } from '../objects/bucket-keeper.ts';
import type { StorageNode } from '../storage-node.ts';
import type { ScrubReport } from '../upkeep/scrubber.ts';
import type {
  CompactReport,
  NodeCommands,
  Progress,
  StatusReport,
  Tell,
  VerifyReport,
} from './node-commands.ts';

const TELL_EVERY_MS = 250;

/** Commands on a node of this process. */
export class LocalCommands implements NodeCommands {
  readonly #node: StorageNode;
  readonly #isAlone: boolean;

  /** `isAlone`: the node has no other user, so a command waits for everything that it started. */
  constructor(node: StorageNode, isAlone: boolean) {
    this.#node = node;
    this.#isAlone = isAlone;
  }

  async status(): Promise<StatusReport> {
    const uploadSpace = await this.#node.uploadSpace();
    return { ...(await this.#node.figures()), uploadSpace };
  }

  buckets(): Promise<readonly BucketDetails[]> {
    return this.#node.describeBuckets();
  }

  createBucket(name: string, policy: BucketPolicy): Promise<boolean> {
    return this.#node.createBucket(name, policy);
  }

  async compact(tell: Tell): Promise<CompactReport> {
    const { compaction: before } = await this.#node.figures();
    const volumes = await this.#watched('compacting', tell, () => this.#node.compact());
    if (this.#isAlone) await this.#node.settled();
    const { compaction: after } = await this.#node.figures();
    return {
      volumes,
      rescuedRecords: after.rescuedRecords - before.rescuedRecords,
      reclaimedBytes: after.reclaimedBytes - before.reclaimedBytes,
    };
  }

  scrub(bytesPerSecond: number, tell: Tell, signal?: AbortSignal): Promise<ScrubReport> {
    const options = { bytesPerSecond, ...(signal !== undefined && { signal }) };
    return this.#watched('scrubbing', tell, () => this.#node.scrub(options));
  }

  async evict(bucket: string): Promise<number | undefined> {
    const volume = await this.#node.evict(bucket);
    if (this.#isAlone) await this.#node.settled();
    return volume;
  }

  async verify(tell: Tell, signal?: AbortSignal): Promise<VerifyReport> {
    const recount = await this.#node.recount();
    const scrub = await this.scrub(0, tell, signal);
    // A listing has the names of the write buffer; `objects` does not count them.
    await this.#node.flush();
    const before = this.#node.changes;
    const { objects, writeBuffer } = await this.#node.figures();
    let listed = 0;
    for (const { name } of this.#node.buckets()) listed += await this.#namesIn(name, signal);
    const isStill = this.#node.changes === before && writeBuffer.puts === 0;
    const isListed = !isStill || listed === objects;
    return {
      isSound: recount.isExact && scrub.damages.length === 0 && isListed,
      recount,
      ...(isStill && { listed }),
      scrub,
    };
  }

  async #namesIn(bucket: string, signal: AbortSignal | undefined): Promise<number> {
    let count = 0;
    let after: string | undefined;
    do {
      signal?.throwIfAborted();
      const page = await this.#node.list(bucket, after === undefined ? {} : { after });
      count += page.objects.length;
      after = page.next;
    } while (after !== undefined);
    return count;
  }

  /** Reports the progress of compaction or the scrubber while `work` runs. */
  async #watched<T>(what: Progress['what'], tell: Tell, work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      const progress = this.#node.progress(what);
      if (progress !== undefined) tell({ what, ...progress });
    }, TELL_EVERY_MS);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }
}
