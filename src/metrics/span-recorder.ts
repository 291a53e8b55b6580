import { sep } from 'node:path';
import type { CommitTrace, MergeTrace } from '../store/observe/channels.ts';

type Outcome = { readonly error?: unknown };

/** Records the commits and merges of one store. The tracing channels are shared by all stores. */
export class SpanRecorder {
  readonly #isOf: (trace: CommitTrace | MergeTrace) => boolean;
  readonly #recorders: ReadonlyMap<string, (value: number) => void>;

  /** `below`: all stores in directories below this one, as a replicated store opens them. */
  constructor(
    store: object | { readonly below: string },
    recorders: ReadonlyMap<string, (value: number) => void>,
  ) {
    this.#isOf =
      'below' in store
        ? ({ directory }) => directory.startsWith(store.below + sep)
        : (trace) => trace.store === store;
    this.#recorders = recorders;
  }

  readonly onCommit = (message: unknown): void => {
    const commit = message as CommitTrace & Outcome;
    if (!this.#isOf(commit) || commit.error !== undefined) return;
    for (const batchMs of commit.batchMs) this.#record('batch_seconds', batchMs);
    if (commit.bytes === 0) return;
    this.#record('encode_seconds', commit.encodeMs);
    if (commit.syncMs > 0) this.#record('sync_seconds', commit.syncMs);
    if (commit.writeMs > 0) this.#record('write_seconds', commit.writeMs);
    this.#record('group_bytes', commit.bytes);
    this.#record('group_batches', commit.batches);
  };

  readonly onMerge = (message: unknown): void => {
    const merge = message as MergeTrace & Outcome;
    if (!this.#isOf(merge) || merge.error !== undefined) return;
    this.#record('merge_seconds', merge.durationMs);
  };

  #record(name: string, value: number): void {
    this.#recorders.get(name)?.(value);
  }
}
