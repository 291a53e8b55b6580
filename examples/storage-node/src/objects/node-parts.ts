import type { MetadataStore } from 'lodestore';
import type { Counters, NodeIdentity } from '../ledger/node-record.ts';
import type { Publisher } from '../ledger/publisher.ts';
import type { NameHasher } from '../names/name-hash.ts';
import type { NameIndex } from '../names/name-index.ts';
import type { ByteBudget } from '../volumes/byte-budget.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { BucketTable } from './bucket-table.ts';
import type { Flights } from './flights.ts';
import type { SpaceGauge } from './space-gauge.ts';
import type { Writers } from './writers.ts';

/** The parts of an open node. */
export interface NodeParts {
  readonly identity: NodeIdentity;
  readonly store: MetadataStore;
  readonly counters: Counters;
  readonly publisher: Publisher;
  readonly volumes: VolumeSet;
  readonly writers: Writers;
  readonly budget: ByteBudget;
  readonly buckets: BucketTable;
  readonly names: NameIndex;
  readonly hash: NameHasher;
  readonly flights: Flights;
  readonly now: () => number;
  readonly extentBytes: number;
  readonly maxObjectBytes: number;
  readonly space: SpaceGauge;
  /** Reports a failure that no caller waits for. */
  readonly onError: (error: unknown) => void;
}
