import type { MetadataStore } from 'lodestore';
import type { Counters } from '../ledger/node-record.ts';
import type { Publisher, Turn } from '../ledger/publisher.ts';
import type { Appended } from '../volumes/group-writer.ts';
import type { VolumeSet } from '../volumes/volume-set.ts';
import type { NameDelta } from './leaf-block.ts';
import type { Leaf, LeafDirectory } from './leaf-directory.ts';
import type { LeafReader } from './leaf-reader.ts';

/** The size of leaves, and when they are folded. */
export interface LeafShape {
  /** Number of deltas of a leaf at which they are folded into it. */
  readonly foldDeltas: number;
  /**
   * Number of names of a leaf after a split. It is split again at one and a half times this number.
   */
  readonly names: number;
}

export const LEAF_SHAPE: LeafShape = { foldDeltas: 64, names: 256 };

/** What the index of names needs. */
export interface IndexParts {
  readonly store: MetadataStore;
  readonly publisher: Publisher;
  readonly volumes: VolumeSet;
  readonly counters: Counters;
  readonly cachedLeaves: number;
  readonly shape: LeafShape;
  /** Appends to volumes of kind `index`. */
  readonly append: (record: Buffer) => Promise<Appended>;
  readonly onError: (error: unknown) => void;
}

/** Deltas of a leaf by number. */
export interface NumberedDelta extends NameDelta {
  readonly number: number;
}

/** The leaves and their published deltas. */
export interface LeafSource {
  readonly directory: LeafDirectory;
  readonly reader: LeafReader;
  deltasOf(leaf: Leaf): NumberedDelta[];
  /** The block of a leaf is no longer needed. */
  bury(turn: Turn, leaf: Leaf): void;
}
