import { createHash } from 'node:crypto';
import type { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import type { Report, SoakCounts } from './soak-report.ts';

interface State {
  /** Hash of the last acknowledged body; undefined if there is none. */
  acknowledged: string | undefined;
  /** Possible results of calls in flight, or refused ones. */
  readonly others: Set<string | undefined>;
}

/** The possible contents of a node, according to its reports. */
export class SoakLedger {
  readonly states = new Map<string, State>();
  readonly #counts: SoakCounts;

  constructor(counts: SoakCounts) {
    this.#counts = counts;
  }

  take(report: Report): void {
    const counts = this.#counts;
    if (report.compacted !== undefined) counts.compacted += report.compacted;
    if (report.name === undefined) return;
    let state = this.states.get(report.name);
    if (state === undefined) {
      state = { acknowledged: undefined, others: new Set() };
      this.states.set(report.name, state);
    }
    if (report.type === 'begin') state.others.add(report.hash);
    if (report.type === 'done') {
      counts.acknowledged++;
      state.acknowledged = report.hash;
      state.others.clear();
    }
    if (report.type === 'refused') {
      counts.refused++;
      if (report.code === 'NO_SPACE') counts.full++;
      if (report.code === 'NO_SPACE' && report.hash === undefined) counts.deletesRefused++;
      if (report.code !== 'NO_SPACE' && report.code !== 'BUSY') {
        throw new Error(`${report.name} was refused with ${report.code}`);
      }
    }
  }

  /** @throws Error if a name has contents that it must not have. Records its contents. */
  settle(name: string, found: string | undefined): void {
    const { acknowledged, others } = this.states.get(name)!;
    if (found !== acknowledged && !others.has(found)) {
      throw new Error(`${name}: ${found ?? 'nothing'} instead of ${acknowledged ?? 'nothing'}`);
    }
    this.states.set(name, { acknowledged: found, others: new Set() });
  }

  /**
   * Checks everything: all objects byte for byte, a recount of live bytes, and a read of all
   * volumes.
   */
  async check(node: StorageNode): Promise<void> {
    let objects = 0;
    for (const name of this.states.keys()) {
      const found = await hashOf(node, name);
      this.#counts.checked++;
      if (found !== undefined) objects++;
      this.settle(name, found);
    }
    await node.settled();
    const recount = await node.recount();
    if (!recount.isExact) throw new Error(`the recount differs: ${JSON.stringify(recount)}`);
    if (recount.objects !== objects) throw new Error(`${recount.objects} objects, not ${objects}`);
    const { damages } = await node.scrub();
    if (damages.length > 0) throw new Error(`damage: ${JSON.stringify(damages)}`);
  }
}

/** Hash of the body, read as a whole; undefined if there is no such object. */
export async function hashOf(node: StorageNode, name: string): Promise<string | undefined> {
  const reader = await node.open('b', name);
  if (reader === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const piece of reader.body()) hash.update(piece);
  return hash.digest('hex');
}
