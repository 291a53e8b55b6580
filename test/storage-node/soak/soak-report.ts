import type { BucketPolicy } from '../../../examples/storage-node/src/ledger/bucket-record.ts';
import type { NodeOptions } from '../../../examples/storage-node/src/node-options.ts';

/** From the child: what it started, and what was acknowledged. */
export interface Report {
  readonly type: 'started' | 'ready' | 'begin' | 'done' | 'refused' | 'compacted' | 'aborted';
  readonly bucket?: SoakBucket;
  readonly name?: string;
  /** Hash of the body; absent for a delete. */
  readonly hash?: string;
  /** Length of the body; absent for a delete. */
  readonly sizeBytes?: number;
  /** The upload in parts that has ended. */
  readonly uploadId?: string;
  /** True if it is durable when it is acknowledged. */
  readonly isSynced?: boolean;
  readonly atMs?: number;
  readonly code?: string;
  readonly compacted?: number;
}

/** The behaviour of the clients of a round. */
export interface Mix {
  /** Share of steps that delete. */
  readonly deletes: number;
  /** Share of bodies that are long. */
  readonly large: number;
  /** Pause between two steps of a client. */
  readonly pauseMs: number;
}

export const SOAK_OPTIONS = {
  volumeBytes: 8 * 2 ** 20,
  indexVolumeBytes: 2 ** 20,
  extentBytes: 256 * 1024,
  reserveBytes: 4 * 2 ** 20,
  reserveFileBytes: 2 * 2 ** 20,
  compactDeadRatio: 0.3,
  writeBufferBytes: 4 * 2 ** 20,
  writeBufferMs: 1_000,
} as const satisfies NodeOptions;

/** Plain, deferred, compressed, and with a quota. */
export type SoakBucket = 'b' | 'd' | 'z' | 'q';

export const QUOTA_BYTES = 8 * 2 ** 20;

export const SOAK_BUCKETS: Readonly<Record<SoakBucket, BucketPolicy>> = {
  b: { mode: 'keep' },
  d: { mode: 'keep', acknowledge: 'deferred' },
  z: { mode: 'keep', compression: 'zstd' },
  q: { mode: 'quota', quotaBytes: QUOTA_BYTES },
};

export interface SoakCounts {
  rounds: number;
  acknowledged: number;
  refused: number;
  /** Those refused for lack of space. */
  full: number;
  /** Those that are deletes. */
  deletesRefused: number;
  kills: number;
  /** Checks of a node that was opened while the disk had no free byte. */
  fullOpens: number;
  compacted: number;
  checked: number;
  flips: number;
  /** Reads refused because of a flipped byte. */
  refusedReads: number;
  /** Damaged objects that were stored again; for the others, the byte was flipped back. */
  restored: number;
  /** Acknowledged before they were durable. */
  deferredAcknowledged: number;
  /** Of them, those that a kill has lost. */
  deferredLost: number;
  /** Kills that lost some: what was left was a prefix. */
  deferredCuts: number;
  /** The longest time from an acknowledgement to the kill that lost it. */
  deferredOldestLostMs: number;
  /** Acknowledged in the compressed bucket. */
  compressedAcknowledged: number;
  /** Its objects that were compared byte for byte. */
  compressedChecked: number;
  /** Reads of it that were refused because of a flipped byte. */
  compressedRefusedReads: number;
  /** Uploads in parts, in the plain and the compressed bucket. */
  uploadsCompleted: number;
  uploadsAborted: number;
  /** Objects of the bucket with a quota that were evicted. */
  evicted: number;
  /** Its newest objects: the quota must keep them, and they were there. */
  newestKept: number;
  /** The longest opening of a node, from the call on. */
  longestOpenMs: number;
}

export const NO_COUNTS: Readonly<SoakCounts> = {
  rounds: 0,
  acknowledged: 0,
  refused: 0,
  full: 0,
  deletesRefused: 0,
  kills: 0,
  fullOpens: 0,
  compacted: 0,
  checked: 0,
  flips: 0,
  refusedReads: 0,
  restored: 0,
  deferredAcknowledged: 0,
  deferredLost: 0,
  deferredCuts: 0,
  deferredOldestLostMs: 0,
  compressedAcknowledged: 0,
  compressedChecked: 0,
  compressedRefusedReads: 0,
  uploadsCompleted: 0,
  uploadsAborted: 0,
  evicted: 0,
  newestKept: 0,
  longestOpenMs: 0,
};
