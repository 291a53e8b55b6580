import type { FileSystem } from 'lodestore/fs';
import { NodeError } from './node-errors.ts';
import type { LeafShape } from './names/index-parts.ts';
import type { NameHasher } from './names/name-hash.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** All values are bytes or milliseconds. */
export interface NodeOptions {
  /** Length at which a volume is followed by the next. Default 1 GiB. */
  readonly volumeBytes?: number;
  /** As `volumeBytes`, for volumes of names. Default 128 MiB. */
  readonly indexVolumeBytes?: number;
  /** A longer body is stored in extents of this length. Default 1 MiB. */
  readonly extentBytes?: number;
  /** Bytes of bodies in memory until they are written. Default 64 MiB. */
  readonly queueBytes?: number;
  /**
   * Number of bodies that may wait for space in the queue; more are refused as busy. Default 1,024.
   */
  readonly maxWaiting?: number;
  /** A body that waits longer is refused as busy. Default 5,000. */
  readonly maxWaitMs?: number;
  /**
   * Memory for acknowledged PUTs of buckets with deferred acknowledgement, until they are written.
   * They are written earlier when it is half full. Default 16 MiB.
   */
  readonly writeBufferBytes?: number;
  /**
   * Such a PUT is written at the latest this time after its acknowledgement. Default 1,000; 0:
   * without a limit of time.
   */
  readonly writeBufferMs?: number;
  /** Bodies are refused before less than this is free on the disk. Default 64 MiB. */
  readonly reserveBytes?: number;
  /**
   * Length of a file that is removed on a full disk, so that deletes can be recorded. Bodies are
   * refused while it is not there. Default 8 MiB; 0: none.
   */
  readonly reserveFileBytes?: number;
  /** Default 5 TiB. */
  readonly maxObjectBytes?: number;
  /** Maximum number of volumes open for reading. Default 256. */
  readonly maxOpenFiles?: number;
  /** Number of name blocks cached in memory. Default 256. */
  readonly cachedLeaves?: number;
  /** A volume is compacted when this share of it is dead. Default 0.5. */
  readonly compactDeadRatio?: number;
  /** Bytes per second that compaction reads. Default 256 MiB. */
  readonly compactBytesPerSecond?: number;
  /** Bytes per second that the scrubber reads; 0: none. Default 8 MiB. */
  readonly scrubBytesPerSecond?: number;
  /** Interval at which the node checks for background work. Default 1,000; 0: never. */
  readonly upkeepMs?: number;
  /** Called for failures that no caller waits for. */
  readonly onError?: (error: Error) => void;
  /**
   * Called with what the operator of the node should know and no call reports: the disk is full;
   * there is space again.
   */
  readonly onNotice?: (text: string) => void;
  /** Called when the metadata store has failed: reads continue, and the node must be reopened. */
  readonly onFailed?: (error: Error) => void;
}

export const DEFAULTS: Required<Omit<NodeOptions, 'onError' | 'onFailed'>> = {
  volumeBytes: GIB,
  indexVolumeBytes: 128 * MIB,
  extentBytes: MIB,
  queueBytes: 64 * MIB,
  maxWaiting: 1_024,
  maxWaitMs: 5_000,
  writeBufferBytes: 16 * MIB,
  writeBufferMs: 1_000,
  reserveBytes: 64 * MIB,
  reserveFileBytes: 8 * MIB,
  maxObjectBytes: 5 * 1024 * GIB,
  maxOpenFiles: 256,
  cachedLeaves: 256,
  compactDeadRatio: 0.5,
  compactBytesPerSecond: 256 * MIB,
  scrubBytesPerSecond: 8 * MIB,
  upkeepMs: 1_000,
  onNotice: () => {},
};

/** The environment of a node: the machine, or a simulation. */
export interface NodeEnvironment {
  readonly files: FileSystem;
  readonly now: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Other sizes of leaves. */
  readonly leaves?: LeafShape;
  /** Another hash of names. */
  readonly hash?: NameHasher;
}

const LEAST: Partial<Record<keyof NodeOptions, number>> = {
  volumeBytes: 64 * KIB,
  indexVolumeBytes: 64 * KIB,
  extentBytes: 4 * KIB,
  queueBytes: 64 * KIB,
  writeBufferBytes: 4 * KIB,
  maxOpenFiles: 1,
  cachedLeaves: 1,
};

/** @throws NodeError `BAD_OPTION` */
export function checkedOptions(options: NodeOptions): Required<NodeOptions> {
  for (const [name, value] of Object.entries(options) as [keyof NodeOptions, unknown][]) {
    if (name === 'onError' || name === 'onNotice' || name === 'onFailed') continue;
    if (!(name in DEFAULTS)) throw new NodeError('BAD_OPTION', `${name} is not an option`);
    if (value === undefined) continue;
    const least = LEAST[name] ?? 0;
    if (typeof value !== 'number' || !(value >= least) || value > Number.MAX_SAFE_INTEGER) {
      throw new NodeError('BAD_OPTION', `${name} must be a number of at least ${least}`);
    }
  }
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const { onError, onFailed } = options;
  const listeners = { onError: listenerOf(onError), onFailed: listenerOf(onFailed) };
  return { ...DEFAULTS, ...given, ...listeners };
}

/** What a listener throws is an uncaught error of the process. It ends nothing of the node. */
function listenerOf(given: ((error: Error) => void) | undefined): (error: Error) => void {
  return (error) => {
    try {
      given?.(error);
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown;
      });
    }
  };
}
