import type { MetadataStore } from 'lodestore';
import type { Counters } from '../ledger/node-record.ts';
import type { Publisher } from '../ledger/publisher.ts';
import type { Appended } from '../volumes/group-writer.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';

/** What the index of names works on. */
export interface IndexParts {
  readonly store: MetadataStore;
  readonly publisher: Publisher;
  readonly volumes: VolumeSet;
  readonly counters: Counters;
  readonly cachedLeaves: number;
  /** Appends to volumes of kind `index`. */
  readonly append: (record: Buffer) => Promise<Appended>;
  readonly onError: (error: unknown) => void;
}
