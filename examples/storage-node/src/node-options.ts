import type { FileSystem } from 'lodestore/fs';
import { NodeError } from './node-errors.ts';
import type { LeafShape } from './names/index-parts.ts';
import type { NameHasher } from './names/name-hash.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** All in bytes or milliseconds. */
export interface NodeOptions {
  /** A volume of this length is followed by the next. 1 GiB unless told. */
  readonly volumeBytes?: number;
  /** As `volumeBytes`, of volumes that hold names. 128 MiB unless told. */
  readonly indexVolumeBytes?: number;
  /** A longer body is stored in extents of this length. 1 MiB unless told. */
  readonly extentBytes?: number;
  /** Bodies in memory, until they are written. 64 MiB unless told. */
  readonly queueBytes?: number;
  /** Bodies that may wait for room in the queue; more are refused as busy. 1,024 unless told. */
  readonly maxWaiting?: number;
  /** A body that waits longer is refused as busy. 5,000 unless told. */
  readonly maxWaitMs?: number;
  /** Bodies are refused before less than this is free on the disk. 64 MiB unless told. */
  readonly reserveBytes?: number;
  /**
   * Length of a file that is removed on a full disk, so that deletes can be recorded. Bodies are
   * refused while it is not there. 8 MiB unless told; 0: none.
   */
  readonly reserveFileBytes?: number;
  /** 5 TiB unless told. */
  readonly maxObjectBytes?: number;
  /** Volumes that are open for reading at a time. 256 unless told. */
  readonly maxOpenFiles?: number;
  /** Blocks of names that stay in memory. 256 unless told. */
  readonly cachedLeaves?: number;
  /** A volume is compacted when this share of it is dead. 0.5 unless told. */
  readonly compactDeadRatio?: number;
  /** Bytes that compaction reads in a second. 256 MiB unless told. */
  readonly compactBytesPerSecond?: number;
  /** Bytes that the scrubber reads in a second; 0: none. 8 MiB unless told. */
  readonly scrubBytesPerSecond?: number;
  /** How often the node looks for something to do. 1,000 unless told; 0: never by itself. */
  readonly upkeepMs?: number;
  /** Told of failures that no caller waits for. */
  readonly onError?: (error: Error) => void;
  /** The metadata store has failed: reads go on, and the node is to be opened again. */
  readonly onFailed?: (error: Error) => void;
}

export const DEFAULTS: Required<Omit<NodeOptions, 'onError' | 'onFailed'>> = {
  volumeBytes: GIB,
  indexVolumeBytes: 128 * MIB,
  extentBytes: MIB,
  queueBytes: 64 * MIB,
  maxWaiting: 1_024,
  maxWaitMs: 5_000,
  reserveBytes: 64 * MIB,
  reserveFileBytes: 8 * MIB,
  maxObjectBytes: 5 * 1024 * GIB,
  maxOpenFiles: 256,
  cachedLeaves: 256,
  compactDeadRatio: 0.5,
  compactBytesPerSecond: 256 * MIB,
  scrubBytesPerSecond: 8 * MIB,
  upkeepMs: 1_000,
};

/** Where a node lives: the machine, or a simulated one. */
export interface NodeEnvironment {
  readonly files: FileSystem;
  readonly now: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Leaves of another size. */
  readonly leaves?: LeafShape;
  /** Another hash of names than the node's own. */
  readonly hash?: NameHasher;
}

const LEAST: Partial<Record<keyof NodeOptions, number>> = {
  volumeBytes: 64 * KIB,
  indexVolumeBytes: 64 * KIB,
  extentBytes: 4 * KIB,
  queueBytes: 64 * KIB,
  maxOpenFiles: 1,
  cachedLeaves: 1,
};

/** @throws NodeError `BAD_OPTION` */
export function checkedOptions(options: NodeOptions): Required<NodeOptions> {
  for (const [name, value] of Object.entries(options) as [keyof NodeOptions, unknown][]) {
    if (name === 'onError' || name === 'onFailed') continue;
    if (!(name in DEFAULTS)) throw new NodeError('BAD_OPTION', `there is no option ${name}`);
    if (value === undefined) continue;
    const least = LEAST[name] ?? 0;
    if (typeof value !== 'number' || !(value >= least) || value > Number.MAX_SAFE_INTEGER) {
      throw new NodeError('BAD_OPTION', `${name} is a number, at least ${least}`);
    }
  }
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  return { onError: () => {}, onFailed: () => {}, ...DEFAULTS, ...given };
}
